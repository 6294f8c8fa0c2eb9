#include "tessera/text/json_node.h"

#include "tessera/base/error.h"

namespace tessera::text {

std::string JsonNode::described() const {
  using Type = simdjson::dom::element_type;
  switch (value_.type()) {
    case Type::ARRAY:
      return "an array";
    case Type::OBJECT:
      return "an object";
    case Type::STRING:
      return fmt::format("\"{}\"", tessera::quoted(value_.get_string().value_unsafe()));
    case Type::BOOL:
      return value_.get_bool().value_unsafe() ? "true" : "false";
    case Type::NULL_VALUE:
      return "null";
    case Type::DOUBLE:
      return fmt::format("{}", value_.get_double().value_unsafe());
    case Type::INT64:
      return fmt::format("{}", value_.get_int64().value_unsafe());
    case Type::UINT64:
      return fmt::format("{}", value_.get_uint64().value_unsafe());
  }
  return "unreadable";
}

void JsonNode::refuse_as(std::string_view given, std::string_view expected) const {
  throw InputError("{}: {} is {}, expected {}; correct the file or copy it again", *source_, path_.empty() ? "the document" : path_, given,
                   expected);
}

void JsonNode::refuse(std::string_view expected) const { refuse_as(described(), expected); }

std::string JsonNode::member_path(std::string_view key) const {
  const std::string shown = tessera::quoted(key, 30);
  return path_.empty() ? shown : fmt::format("{}.{}", path_, shown);
}

std::string JsonNode::index_path(size_t index) const { return fmt::format("{}[{}]", path_, index); }

simdjson::dom::array JsonNode::array() const {
  if (!value_.is_array()) refuse("an array");
  return value_.get_array().value_unsafe();
}

simdjson::dom::object JsonNode::object() const {
  if (!value_.is_object()) refuse("an object");
  return value_.get_object().value_unsafe();
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  simdjson::dom::element member;
  if (object().at_key(key).get(member) != simdjson::SUCCESS || member.is_null()) return std::nullopt;
  return JsonNode(member, member_path(key), *source_);
}

JsonNode JsonNode::at(std::string_view key) const {
  if (auto member = find(key)) return *member;
  throw InputError("{}: {} is missing; correct the file or copy it again", *source_, member_path(key));
}

std::string JsonNode::string() const {
  if (!value_.is_string()) refuse("a string");
  return std::string(value_.get_string().value_unsafe());
}

bool JsonNode::boolean() const {
  if (!value_.is_bool()) refuse("true or false");
  return value_.get_bool().value_unsafe();
}

int64_t JsonNode::integer(int64_t least, int64_t most) const {
  int64_t value = 0;
  if (value_.get_int64().get(value) != simdjson::SUCCESS || value < least || value > most)
    refuse(fmt::format("an integer from {} to {}", least, most));
  return value;
}

double JsonNode::number() const {
  double value = 0;
  if (value_.get_double().get(value) != simdjson::SUCCESS) refuse("a number");
  return value;
}

std::string JsonNode::string(std::string_view key, std::string_view fallback) const {
  const auto member = find(key);
  return member ? member->string() : std::string(fallback);
}

bool JsonNode::boolean(std::string_view key, bool fallback) const {
  const auto member = find(key);
  return member ? member->boolean() : fallback;
}

}  // namespace tessera::text
