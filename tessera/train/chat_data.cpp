#include "tessera/train/chat_data.h"

#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/base/json.h"
#include "tessera/data/records.h"
#include "tessera/text/chat_template.h"
#include "tessera/text/tokenizer.h"

namespace tessera::train {

namespace {

using Json = nlohmann::ordered_json;
using ByteSpan = std::pair<size_t, size_t>;  // [begin, end) of the rendered text

Json first_messages(const Json& messages, size_t n) {
  auto part = Json::array();
  for (size_t i = 0; i < n; ++i) part.push_back(messages[i]);
  return part;
}

bool is_answer(const Json& message) { return message.is_object() && message.value("role", "") == "assistant"; }

void check_messages(const Json& messages) {
  if (!messages.is_array() || messages.empty())
    throw InputError("messages: expected a list of {{\"role\", \"content\"}}, given {}", tessera::quoted(messages.dump()));
  for (const auto& message : messages) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string() || !message.contains("content"))
      throw InputError("a message is {}; expected {{\"role\": ..., \"content\": ...}}", tessera::quoted(message.dump()));
  }
}

// Where the answer messages[i] stands: behind what its generation prompt renders to, up to the end of its turn.
ByteSpan answer_span(const text::ChatTemplate& chat, const Json& messages, size_t i, const std::string& whole) {
  text::ChatOptions prompt, closed;
  closed.add_generation_prompt = false;
  const auto before = chat.render(first_messages(messages, i), prompt).text,
             after = chat.render(first_messages(messages, i + 1), closed).text;
  if (!whole.starts_with(before) || !whole.starts_with(after) || after.size() < before.size())
    throw InputError(
        "the chat template writes answer {} otherwise once more turns follow, so its place in the whole is not known; train the last "
        "answer only",
        i);
  return {before.size(), after.size()};
}

std::vector<ByteSpan> answer_spans(const ChatEncoder& encoder, const Json& messages, std::string& whole) {
  text::ChatOptions closed;
  closed.add_generation_prompt = false;
  const auto rendered = encoder.chat.render(messages, closed);
  whole = rendered.text;
  std::vector<ByteSpan> spans = rendered.assistant;
  if (spans.empty()) {
    for (size_t i = 0; i < messages.size(); ++i) {
      if (is_answer(messages[i]) && (encoder.trained == AnswersTrained::all || i + 1 == messages.size()))
        spans.push_back(answer_span(encoder.chat, messages, i, whole));
    }
  }
  if (spans.empty()) throw InputError("a conversation has no answer to train; its last message must be the assistant's");
  if (encoder.trained == AnswersTrained::last) spans.erase(spans.begin(), spans.end() - 1);
  return spans;
}

// Appends the tokens of text[begin, end), which follows what `example` holds.
void append_text(const text::Tokenizer& tokenizer, const std::string& whole, ByteSpan part, bool answer, ChatExample& example) {
  if (part.first >= part.second) return;
  const text::EncodeOptions plain{.add_special_tokens = false};
  auto ids = tokenizer.encode_ids(std::string_view(whole).substr(0, part.second), plain);
  size_t known = example.tokens.size();
  const bool goes_on = ids.size() >= known && std::equal(example.tokens.begin(), example.tokens.end(), ids.begin());
  if (!goes_on) {  // a token would reach over the border
    ids = tokenizer.encode_ids(std::string_view(whole).substr(part.first, part.second - part.first), plain);
    known = 0;
  }
  example.tokens.insert(example.tokens.end(), ids.begin() + static_cast<std::ptrdiff_t>(known), ids.end());
  example.answer.resize(example.tokens.size(), answer);
}

Json message(const char* role, const std::string& content) { return {{"role", role}, {"content", content}}; }

// A field as JSON: nested values parsed, texts as strings.
Json field(const data::Row& row, std::string_view name) {
  const auto* value = row.find(name);
  if (value == nullptr) return nullptr;
  if (const auto* nested = std::get_if<data::Json>(value)) return try_parse_json(nested->text);
  if (const auto* words = std::get_if<std::string>(value)) return *words;
  return nullptr;
}

Json first_of(const data::Row& row, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (auto value = field(row, name); !value.is_null()) return value;
  }
  return nullptr;
}

Json from_sharegpt(const Json& turns, const std::string& where) {
  auto messages = Json::array();
  for (const auto& turn : turns) {
    const std::string from = turn.is_object() ? turn.value("from", "") : "";
    const char* role = from == "human" || from == "user"      ? "user"
                       : from == "gpt" || from == "assistant" ? "assistant"
                       : from == "system"                     ? "system"
                                                              : nullptr;
    if (role == nullptr || !turn.contains("value") || !turn["value"].is_string())
      throw InputError("{}: a turn is {}; expected {{\"from\": \"human\", \"gpt\" or \"system\", \"value\": text}}", where,
                       tessera::quoted(turn.dump()));
    messages.push_back(message(role, turn["value"].get<std::string>()));
  }
  return messages;
}

Json messages_of(const data::Row& row) {
  if (auto messages = field(row, "messages"); messages.is_array()) return messages;
  if (auto turns = field(row, "conversations"); turns.is_array()) return from_sharegpt(turns, row.where);
  const auto prompt = first_of(row, {"prompt", "instruction"}), answer = first_of(row, {"response", "completion", "output"});
  if (!prompt.is_string() || !answer.is_string())
    throw InputError("{}: no conversation; expected \"messages\", \"conversations\", or \"prompt\" and \"response\"", row.where);
  auto asked = prompt.get<std::string>();
  if (const auto more = field(row, "input"); more.is_string() && !more.get<std::string>().empty())
    asked += "\n\n" + more.get<std::string>();
  return {message("user", asked), message("assistant", answer.get<std::string>())};
}

// prompt + answer as messages; an answer that is a whole conversation stands for itself.
Json with_answer(const Json& prompt, const Json& answer, const std::string& where, const char* name) {
  auto messages = prompt.is_string()  ? Json::array({message("user", prompt.get<std::string>())})
                  : prompt.is_array() ? prompt
                                      : Json::array();
  if (answer.is_string() && !messages.empty()) {
    messages.push_back(message("assistant", answer.get<std::string>()));
    return messages;
  }
  if (!answer.is_array() || answer.empty())
    throw InputError("{}: {} is {}; expected a text behind a prompt, or messages", where, name, tessera::quoted(answer.dump()));
  const bool whole = answer.size() > 1 && answer.size() > messages.size();
  if (whole) return answer;
  for (const auto& turn : answer) messages.push_back(turn);
  return messages;
}

}  // namespace

ChatExample ChatEncoder::operator()(const nlohmann::ordered_json& messages) const {
  check_messages(messages);
  std::string whole;
  const auto spans = answer_spans(*this, messages, whole);
  ChatExample example;
  size_t at = 0;
  for (const auto& span : spans) {
    append_text(tokenizer, whole, {at, span.first}, false, example);
    append_text(tokenizer, whole, span, true, example);
    at = span.second;
  }
  append_text(tokenizer, whole, {at, whole.size()}, false, example);
  return example;
}

void for_each_conversation(const std::filesystem::path& path, const MessagesSink& sink) {
  const auto records = data::open_records(path);
  data::Row row;
  while (records->next(row)) {
    if (!sink(messages_of(row), row.where)) return;
  }
}

PairsRead read_pairs(const std::filesystem::path& path) {
  PairsRead read;
  const auto records = data::open_records(path);
  data::Row row;
  while (records->next(row)) {
    const auto prompt = first_of(row, {"prompt", "messages"});
    PreferencePair pair{with_answer(prompt, field(row, "chosen"), row.where, "chosen"),
                        with_answer(prompt, field(row, "rejected"), row.where, "rejected")};
    if (pair.chosen == pair.rejected) {
      ++read.equal;
    } else {
      read.pairs.push_back(std::move(pair));
    }
  }
  if (read.pairs.empty())
    throw InputError("{}: no pair of different answers ({} rows had chosen == rejected); give rows with prompt, chosen and rejected",
                     path.string(), read.equal);
  return read;
}

}  // namespace tessera::train
