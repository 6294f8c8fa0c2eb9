#include "tessera/text/jinja_value.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"
#include "tessera/text/jinja_loop.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

void check_depth(int depth) {
  if (depth > kDeepest) throw InputError("lists and dicts lie more than {} deep in each other; flatten the value", kDeepest);
}

std::string repr_items(const std::vector<Value>& items) {
  std::string out;
  for (const Value& item : items) {
    if (!out.empty()) out += ", ";
    out += to_repr(item);
  }
  return out;
}

std::string repr_list(const List& list) {
  const std::string items = list.form == Form::range ? "" : repr_items(list.items);
  switch (list.form) {
    case Form::list:
      return "[" + items + "]";
    case Form::tuple:
      return "(" + items + (list.items.size() == 1 ? ",)" : ")");
    case Form::keys:
      return "dict_keys([" + items + "])";
    case Form::values:
      return "dict_values([" + items + "])";
    case Form::items:
      return "dict_items([" + items + "])";
    case Form::generator:
      throw InputError("the result of a filter such as map or select is shown as text; add |list or |join");
    case Form::range:
      break;
  }
  if (list.items.empty()) return "range(0, 0)";
  const int64_t first = *list.items.front().integer(), last = *list.items.back().integer();
  const int64_t step = list.items.size() > 1 ? *list.items[1].integer() - first : 1;
  return fmt::format("range({}, {}", first, last + step) + (step == 1 ? ")" : fmt::format(", {})", step));
}

std::string repr_dict(const Dict& dict) {
  std::string out = "{";
  for (const auto& [key, value] : dict.items) {
    if (out.size() > 1) out += ", ";
    out += to_repr(key) + ": " + to_repr(value);
  }
  return out + "}";
}

// repr(namespace); a namespace inside itself ends in an error, not in a loop.
std::string repr_scope(const Namespace& scope) {
  thread_local int depth = 0;
  if (depth >= 20) throw InputError("a namespace that holds itself is shown as text; show its fields");
  ++depth;
  std::string out = "<Namespace {";
  try {
    for (const auto& [key, value] : scope.entries) {
      if (out.size() > 12) out += ", ";
      out += repr(std::string_view(key)) + ": " + to_repr(value);
    }
  } catch (...) {
    --depth;
    throw;
  }
  --depth;
  return out + "}>";
}

bool equal_lists(const List& a, const List& b) {
  const auto kind = [](Form form) { return form == Form::list || form == Form::tuple || form == Form::range ? form : Form::generator; };
  if (&a == &b) return true;
  if (kind(a.form) != kind(b.form) || kind(a.form) == Form::generator || a.items.size() != b.items.size()) return false;
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.items.size() != b.items.size()) return false;
  return std::all_of(a.items.begin(), a.items.end(), [&](const auto& entry) {
    const Value* other = find(b, entry.first);
    return other && equal(entry.second, *other);
  });
}

const int64_t* whole(const Value& value, int64_t& scratch) {
  if (value.boolean()) return scratch = *value.boolean() ? 1 : 0, &scratch;
  return value.integer();
}

}  // namespace

Value Value::list(std::vector<Value> items, Form form, bool group) {
  auto list = std::make_shared<List>();
  for (const Value& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  check_depth(list->depth);
  list->items = std::move(items);
  list->form = form;
  list->group = group;
  Value value;
  value.held_ = std::shared_ptr<const List>(std::move(list));
  return value;
}

Value Value::dict(std::vector<std::pair<Value, Value>> items) {
  auto dict = std::make_shared<Dict>();
  dict->items.reserve(items.size());
  for (std::pair<Value, Value>& item : items) {
    Value &key = item.first, &value = item.second;
    if (key.dict() || (key.list() && key.list()->form == Form::list))
      throw InputError("a {} is used as the key of a dict; keys are strings, numbers, True, False, None or tuples", type_name(key));
    dict->depth = std::max({dict->depth, key.depth() + 1, value.depth() + 1});
    if (const Value* old = jinja::find(*dict, key)) {
      const_cast<Value&>(*old) = std::move(value);  // `dict` is still ours alone
      continue;
    }
    if (key.text()) dict->positions.emplace(key.text()->bytes, dict->items.size());
    dict->items.emplace_back(std::move(key), std::move(value));
  }
  check_depth(dict->depth);
  Value value;
  value.held_ = std::shared_ptr<const Dict>(std::move(dict));
  return value;
}

static Value json_value(const nlohmann::ordered_json& json, int depth) {
  check_depth(depth);
  using Kind = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Kind::null:
      return None{};
    case Kind::boolean:
      return json.get<bool>();
    case Kind::number_integer:
      return json.get<int64_t>();
    case Kind::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number > static_cast<uint64_t>(INT64_MAX)) throw InputError("{} does not fit 64 bits; write it as a string", number);
      return static_cast<int64_t>(number);
    }
    case Kind::number_float:
      return json.get<double>();
    case Kind::string: {
      require_utf8(json.get_ref<const std::string&>(), "a string of the conversation");
      return json.get<std::string>();
    }
    case Kind::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(json_value(item, depth + 1));
      return Value::list(std::move(items));
    }
    case Kind::object: {
      std::vector<std::pair<Value, Value>> items;
      for (const auto& [key, item] : json.items()) items.emplace_back(Value(key), json_value(item, depth + 1));
      return Value::dict(std::move(items));
    }
    default:
      throw InputError("a JSON value of type {} cannot be given to a template", json.type_name());
  }
}

Value Value::from_json(const nlohmann::ordered_json& json) { return json_value(json, 1); }

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : entries)
    if (key == name) return &value;
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [key, old] : entries) {
    if (key == name) return void(old = std::move(value));
  }
  entries.emplace_back(std::string(name), std::move(value));
}

std::string_view type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.boolean()) return "bool";
  if (value.integer()) return "int";
  if (value.real()) return "float";
  if (value.text()) return value.text()->safe ? "Markup" : "str";
  if (value.dict()) return "dict";
  if (value.scope()) return "Namespace";
  if (value.loop()) return "LoopContext";
  if (value.callable()) return value.callable()->macro ? "Macro" : value.callable()->self ? "builtin_function_or_method" : "function";
  constexpr std::string_view names[] = {"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
  return names[static_cast<size_t>(value.list()->form)];
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.boolean()) return *value.boolean();
  if (value.integer()) return *value.integer() != 0;
  if (value.real()) return *value.real() != 0;
  if (value.text()) return !value.text()->bytes.empty();
  if (value.list()) return value.list()->form == Form::generator || !value.list()->items.empty();
  if (value.dict()) return !value.dict()->items.empty();
  return true;
}

double as_real(const Value& number) {
  if (number.boolean()) return *number.boolean() ? 1 : 0;
  return number.integer() ? static_cast<double>(*number.integer()) : *number.real();
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    int64_t x = 0, y = 0;
    const int64_t *whole_a = whole(a, x), *whole_b = whole(b, y);
    return whole_a && whole_b ? *whole_a == *whole_b : as_real(a) == as_real(b);
  }
  if (a.text() && b.text()) return a.text()->bytes == b.text()->bytes;
  if (a.list() && b.list()) return equal_lists(*a.list(), *b.list());
  if (a.dict() && b.dict()) return a.dict() == b.dict() || equal_dicts(*a.dict(), *b.dict());
  if (a.scope() && b.scope()) return a.scope() == b.scope();
  if (a.loop() && b.loop()) return a.loop() == b.loop();
  if (a.callable() && b.callable()) return a.callable() == b.callable();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    int64_t x = 0, y = 0;
    const int64_t *whole_a = whole(a, x), *whole_b = whole(b, y);
    return whole_a && whole_b ? *whole_a < *whole_b : as_real(a) < as_real(b);
  }
  if (a.text() && b.text()) return a.text()->bytes < b.text()->bytes;
  const List *left = a.list(), *right = b.list();
  if (left && right && left->form == right->form && (left->form == Form::list || left->form == Form::tuple)) {
    const size_t common = std::min(left->items.size(), right->items.size());
    for (size_t i = 0; i < common; ++i)
      if (!equal(left->items[i], right->items[i])) return less(left->items[i], right->items[i]);
    return left->items.size() < right->items.size();
  }
  if (a.is_undefined() || b.is_undefined()) {
    const Undefined& missing = a.is_undefined() ? *a.undefined() : *b.undefined();
    throw InputError("{}, so it cannot be compared; test it with 'is defined' first", missing.why ? *missing.why : "a value is undefined");
  }
  throw InputError("'<' compares a {} with a {}; compare values of one type", type_name(a), type_name(b));
}

std::string to_text(const Value& value) {
  if (value.text()) return value.text()->bytes;
  if (value.is_undefined()) return {};
  return to_repr(value);
}

std::string to_repr(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (value.boolean()) return *value.boolean() ? "True" : "False";
  if (value.integer()) return std::to_string(*value.integer());
  if (value.real()) return repr(*value.real());
  if (value.text())
    return value.text()->safe ? "Markup(" + repr(std::string_view(value.text()->bytes)) + ")" : repr(std::string_view(value.text()->bytes));
  if (value.list()) return repr_list(*value.list());
  if (value.dict()) return repr_dict(*value.dict());
  if (value.scope()) return repr_scope(*value.scope());
  if (value.loop()) return fmt::format("<LoopContext {}/{}>", value.loop()->index0 + 1, value.loop()->items.size());
  if (value.callable()->macro) return "<Macro " + repr(std::string_view(value.callable()->name)) + ">";
  throw InputError("the function {} is shown as text; call it: {}()", value.callable()->name, value.callable()->name);
}

const Value* find(const Dict& dict, std::string_view key) {
  const auto found = dict.positions.find(std::string(key));
  return found == dict.positions.end() ? nullptr : &dict.items[found->second].second;
}

const Value* find(const Dict& dict, const Value& key) {
  if (key.text()) return find(dict, std::string_view(key.text()->bytes));
  for (const auto& [other, value] : dict.items)
    if (!other.text() && equal(other, key)) return &value;
  return nullptr;
}

int64_t size_of(const Value& value) {
  if (value.text()) return static_cast<int64_t>(length(value.text()->bytes));
  if (value.list() && value.list()->form != Form::generator) return static_cast<int64_t>(value.list()->items.size());
  if (value.dict()) return static_cast<int64_t>(value.dict()->items.size());
  if (value.loop()) return static_cast<int64_t>(value.loop()->items.size());
  if (value.is_undefined()) return 0;
  throw InputError("a {} has no length; give a string, a list or a dict", type_name(value));
}

std::vector<Value> iterate(const Value& value) {
  std::vector<Value> items;
  if (value.is_undefined()) return items;
  if (const Text* text = value.text()) {
    const auto offsets = point_offsets(text->bytes);
    items.reserve(offsets.size());
    for (size_t i = 0; i + 1 < offsets.size(); ++i) items.emplace_back(text->bytes.substr(offsets[i], offsets[i + 1] - offsets[i]));
    return items;
  }
  if (const List* list = value.list()) {
    if (list->form != Form::generator) return list->items;
    return std::exchange(list->used, true) ? items : list->items;
  }
  if (const Dict* dict = value.dict()) {
    for (const auto& entry : dict->items) items.push_back(entry.first);
    return items;
  }
  throw InputError("a {} is not iterable; give a list, a dict or a string", type_name(value));
}

}  // namespace tessera::text::jinja
