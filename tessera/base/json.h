#pragma once
// JSON text from outside, as a nlohmann::json that is safe to handle.

#include <nlohmann/json.hpp>
#include <string_view>

#include "tessera/base/error.h"

namespace tessera {

// Lists and objects may lie so deep in each other. nlohmann::json copies, compares and prints by recursion: a file of some hundred
// kilobytes could otherwise exhaust the stack.
inline constexpr int kDeepestJson = 200;

enum class JsonComments { refused, ignored };  // whether // and /* */ may stand in the text

// `text` as JSON. Throws InputError "NAME: not JSON: ..." with line and column, or when it nests deeper than kDeepestJson.
template <class Json = nlohmann::ordered_json>
Json parse_json(std::string_view text, std::string_view name, JsonComments comments = JsonComments::refused) {
  const auto shallow = [&](int depth, nlohmann::json::parse_event_t, const Json&) {
    if (depth > kDeepestJson) throw InputError("{}: not JSON: nested deeper than {} levels; copy the file again", name, kDeepestJson);
    return true;
  };
  try {
    return Json::parse(text, shallow, true, comments == JsonComments::ignored);
  } catch (const typename Json::exception& error) {
    throw InputError("{}: not JSON: {}; copy the file again", name, quoted(error.what(), 200));
  }
}

// The same with nlohmann's discarded value (no object, no list, nothing) in place of an error.
template <class Json = nlohmann::ordered_json>
Json try_parse_json(std::string_view text, JsonComments comments = JsonComments::refused) {
  try {
    return parse_json<Json>(text, "", comments);
  } catch (const InputError&) {
    return Json(Json::value_t::discarded);
  }
}

}  // namespace tessera
