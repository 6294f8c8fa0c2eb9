#pragma once
// A value of an untrusted JSON document that knows its place, so that every complaint names file and field.

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::text {

class JsonNode {
 public:
  // `source` is what errors call the document; it must outlive the node.
  JsonNode(simdjson::dom::element value, std::string path, const std::string& source)
      : value_(value), path_(std::move(path)), source_(&source) {}

  const std::string& path() const { return path_; }
  // The member of an object; nothing when it is missing or null. Throws InputError when this is no object.
  std::optional<JsonNode> find(std::string_view key) const;
  JsonNode at(std::string_view key) const;  // throws InputError when it is missing or null

  bool is_string() const { return value_.is_string(); }
  bool is_object() const { return value_.is_object(); }
  bool is_array() const { return value_.is_array(); }
  std::string string() const;
  bool boolean() const;
  int64_t integer(int64_t least, int64_t most) const;
  double number() const;

  // Members by key, with what holds when they are missing.
  std::string string(std::string_view key, std::string_view fallback) const;
  bool boolean(std::string_view key, bool fallback) const;

  template <class Visit>  // visit(JsonNode) for the items of an array
  void each_item(Visit visit) const {
    size_t i = 0;
    for (const simdjson::dom::element item : array()) visit(JsonNode(item, index_path(i++), *source_));
  }
  template <class Visit>  // visit(std::string_view key, JsonNode) for the members of an object
  void each_member(Visit visit) const {
    for (const simdjson::dom::key_value_pair member : object())
      visit(member.key, JsonNode(member.value, member_path(member.key), *source_));
  }
  simdjson::dom::array array() const;
  simdjson::dom::object object() const;

  // Throws InputError: "<source>: <path> is <what it is>, expected <expected>; <hint>".
  [[noreturn]] void refuse(std::string_view expected) const;
  [[noreturn]] void refuse_as(std::string_view given, std::string_view expected) const;

 private:
  std::string member_path(std::string_view key) const;
  std::string index_path(size_t index) const;
  std::string described() const;
  simdjson::dom::element value_;
  std::string path_;
  const std::string* source_;
};

}  // namespace tessera::text
