#include <algorithm>
#include <cctype>
#include <optional>

#include "tessera/base/error.h"
#include "tessera/base/json.h"
#include "tessera/data/records.h"
#include "tessera/eval/choices.h"

namespace tessera::eval {
namespace {

bool is_white(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// The choices of a row and what names them, if anything does.
struct Choices {
  std::vector<std::string> texts, labels;
};

std::vector<std::string> texts_of(const data::Row& row, const nlohmann::json& list) {
  if (!list.is_array()) throw InputError("{}: the choices are no list; give \"choices\": [\"...\", \"...\"]", row.where);
  std::vector<std::string> texts;
  for (const auto& item : list) texts.push_back(item.is_string() ? item.get<std::string>() : item.dump());
  return texts;
}

// A list of texts, a list of numbers, or {"text": [...], "label": [...]}; csv holds the same as JSON text.
Choices choices_of(const data::Row& row) {
  const data::Value* value = row.find("choices");
  if (!value) value = row.find("options");
  if (!value) row.texts("choices");  // says which fields there are
  if (const auto* texts = std::get_if<std::vector<std::string>>(value)) return {*texts, {}};
  std::string json;
  if (const auto* text = std::get_if<std::string>(value)) json = *text;
  if (const auto* nested = std::get_if<data::Json>(value)) json = nested->text;
  const auto parsed = try_parse_json<nlohmann::json>(json);
  if (parsed.is_object() && parsed.contains("text")) {
    Choices choices{texts_of(row, parsed["text"]), {}};
    if (parsed.contains("label")) choices.labels = texts_of(row, parsed["label"]);
    return choices;
  }
  return {texts_of(row, parsed), {}};
}

std::string question_of(const data::Row& row) {
  const data::Value* context = row.find("context");
  if (!context) return row.text("question");
  if (!row.find("question")) return row.text("context");
  return row.text("context") + "\n" + row.text("question");
}

// The index that an answer names: a label, a number, a letter, or a choice's own text.
std::optional<size_t> index_of(const Choices& choices, const data::Value& answer) {
  const auto place = [](const std::vector<std::string>& in, const std::string& what) -> std::optional<size_t> {
    const auto at = std::find(in.begin(), in.end(), what);
    return at == in.end() ? std::nullopt : std::optional<size_t>(at - in.begin());
  };
  if (const auto* index = std::get_if<int64_t>(&answer)) {
    if (const auto by_label = place(choices.labels, std::to_string(*index))) return by_label;
    return *index < 0 ? std::nullopt : std::optional<size_t>(*index);
  }
  const auto* text = std::get_if<std::string>(&answer);
  if (!text || text->empty()) return std::nullopt;
  if (const auto by_label = place(choices.labels, *text)) return by_label;
  if (const auto by_text = place(choices.texts, *text)) return by_text;
  if (text->size() == 1 && (*text)[0] >= 'A' && (*text)[0] <= 'Z') return static_cast<size_t>((*text)[0] - 'A');
  if (text->size() <= 3 && std::all_of(text->begin(), text->end(), [](unsigned char c) { return std::isdigit(c); }))
    return static_cast<size_t>(std::stoi(*text));
  return std::nullopt;
}

const data::Value& answer_of(const data::Row& row) {
  for (const char* name : {"answer", "answerKey", "label", "gold"})
    if (const data::Value* value = row.find(name)) return *value;
  row.text("answer");  // says which fields there are
  throw InputError("{}: there is no field \"answer\"", row.where);
}

ChoiceItem item_of(const data::Row& row) {
  const Choices choices = choices_of(row);
  if (choices.texts.size() < 2) throw InputError("{}: the item has {} choices; it must have 2 or more", row.where, choices.texts.size());
  ChoiceItem item{.question = question_of(row), .choices = {}, .answer = 0};
  if (item.question.empty()) throw InputError("{}: the question is empty; give some text", row.where);
  const std::optional<size_t> answer = index_of(choices, answer_of(row));
  if (!answer || *answer >= choices.texts.size())
    throw InputError("{}: the answer names none of the {} choices; give an index from 0, a letter, a label or a choice's text", row.where,
                     choices.texts.size());
  item.answer = *answer;
  for (const std::string& text : choices.texts) {
    if (text.empty()) throw InputError("{}: a choice is empty; give some text", row.where);
    item.choices.push_back(is_white(text.front()) || is_white(item.question.back()) ? text : " " + text);
  }
  return item;
}

}  // namespace

std::vector<ChoiceItem> read_choice_items(const std::filesystem::path& path) {
  std::error_code unknown;  // what cannot be looked at, open_records refuses
  if (std::filesystem::exists(path / "data.noun", unknown)) return data::wordnet_items(data::read_wordnet(path), {});
  if (std::filesystem::is_regular_file(path, unknown) && std::filesystem::file_size(path, unknown) == 0)
    throw InputError("{} is empty; give one JSON object a line with question, choices and answer", path.string());
  std::vector<ChoiceItem> items;
  const auto rows = data::open_records(path);
  for (data::Row row; rows->next(row);) items.push_back(item_of(row));
  if (items.empty()) throw InputError("{} holds no items; give one JSON object a line with question, choices and answer", path.string());
  return items;
}

}  // namespace tessera::eval
