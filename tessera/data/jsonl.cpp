#include <simdjson.h>

#include <limits>

#include "tessera/base/error.h"
#include "tessera/data/input.h"
#include "tessera/data/record_readers.h"

namespace tessera::data {
namespace {

// A JSON value as a field's: lists of strings as such, other lists and objects as their text.
Value value_of(const simdjson::dom::element& element) {
  switch (element.type()) {
    case simdjson::dom::element_type::NULL_VALUE:
      return std::monostate{};
    case simdjson::dom::element_type::BOOL:
      return bool(element.get_bool().value_unsafe());
    case simdjson::dom::element_type::INT64:
      return element.get_int64().value_unsafe();
    case simdjson::dom::element_type::UINT64:  // above 2^63
      return static_cast<double>(element.get_uint64().value_unsafe());
    case simdjson::dom::element_type::DOUBLE:
      return element.get_double().value_unsafe();
    case simdjson::dom::element_type::STRING:
      return std::string(element.get_string().value_unsafe());
    default:
      break;
  }
  if (element.is_array()) {
    std::vector<std::string> texts;
    const simdjson::dom::array array = element.get_array().value_unsafe();
    for (const simdjson::dom::element item : array) {
      if (!item.is_string()) return Json{simdjson::minify(element)};
      texts.emplace_back(item.get_string().value_unsafe());
    }
    return texts;
  }
  return Json{simdjson::minify(element)};
}

class JsonlRecords : public Records {
 public:
  JsonlRecords(const std::filesystem::path& path, const RecordsOptions& options) : lines_(path), options_(options) {}

  bool next(Row& row) override {
    do {
      if (!lines_.next(line_)) return false;
    } while (is_blank());
    row.where = fmt::format("{}:{}", lines_.path().string(), lines_.number());
    row.fields.clear();
    simdjson::dom::element document;
    if (const auto error = parser_.parse(line_.data(), line_.size(), true).get(document))
      throw InputError("{}: not a line of JSON: {}; each line must hold one object", row.where, simdjson::error_message(error));
    simdjson::dom::object object;
    if (document.get_object().get(object)) throw InputError("{}: the line is no JSON object; each line must hold one", row.where);
    if (options_.columns.empty()) {
      for (const auto field : object) row.fields.emplace_back(field.key, value_of(field.value));
    } else {
      choose(object, row);
    }
    return true;
  }

  uint64_t skip(uint64_t rows) override {
    uint64_t done = 0;
    while (done < rows && lines_.next(line_)) done += !is_blank();
    return done;
  }

 private:
  bool is_blank() const { return line_.find_first_not_of(" \t") == std::string::npos; }

  void choose(const simdjson::dom::object& object, Row& row) const {
    for (const std::string& column : options_.columns) {
      simdjson::dom::element value;
      if (object.at_key(column).get(value)) {
        std::vector<std::string> there;
        for (const auto field : object) there.emplace_back(field.key);
        check_columns(row.where, {column}, there);
      }
      row.fields.emplace_back(column, value_of(value));
    }
  }

  LineReader lines_;
  RecordsOptions options_;
  simdjson::dom::parser parser_;
  std::string line_;
};

}  // namespace

std::unique_ptr<Records> read_jsonl(const std::filesystem::path& path, const RecordsOptions& options) {
  return std::make_unique<JsonlRecords>(path, options);
}

}  // namespace tessera::data
