// Filters of lists, dicts and numbers; those of text are in jinja_text_filters.cpp.

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {

std::vector<std::optional<Value>> bind(Arguments given, std::initializer_list<std::string_view> names, std::string_view callee) {
  std::vector<std::optional<Value>> bound(names.size());
  if (given.positional.size() > names.size())
    throw InputError("{} takes at most {} arguments, not {}", tessera::quoted(callee), names.size(), given.positional.size());
  for (size_t i = 0; i < given.positional.size(); ++i) bound[i] = std::move(given.positional[i]);
  for (auto& [name, value] : given.named) {
    const auto* const found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) throw InputError("{} takes no argument '{}'", tessera::quoted(callee), tessera::quoted(name));
    bound[static_cast<size_t>(found - names.begin())] = std::move(value);
  }
  return bound;
}

int64_t whole_number(const Value& value, std::string_view what) {
  if (value.integer()) return *value.integer();
  if (value.boolean()) return *value.boolean() ? 1 : 0;
  throw InputError("{} is a whole number, not a {}", what, type_name(value));
}

const std::string& text_argument(const Value& value, std::string_view what) {
  if (!value.text()) throw InputError("{} is a string, not a {}", what, type_name(value));
  return value.text()->bytes;
}

namespace {

using Bound = std::vector<std::optional<Value>>;

bool flag(const std::optional<Value>& value) { return value && truth(*value); }
int64_t number_or(const std::optional<Value>& value, int64_t fallback, std::string_view what) {
  return value ? whole_number(*value, what) : fallback;
}

// A dotted path as map(attribute=...) and sort(attribute=...) take it: names and numbers.
Value follow(Evaluator& evaluator, Value value, const Value& path) {
  if (!path.text()) return evaluator.item(value, path);
  for (const std::string_view part : split_at(path.text()->bytes, ".", -1, false)) {
    int64_t index = 0;
    const auto read = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool number = !part.empty() && read.ec == std::errc() && read.ptr == part.data() + part.size() && part[0] != '-';
    value = evaluator.item(value, number ? Value(index) : Value(part));
  }
  return value;
}

// What sort, unique, min, max and groupby compare: the attribute, in lower case unless case counts.
Value sort_key(Evaluator& evaluator, const Value& value, const std::optional<Value>& attribute, bool case_sensitive) {
  Value key = attribute && !attribute->is_none() ? follow(evaluator, value, *attribute) : value;
  return key.text() && !case_sensitive ? Value(lower(key.text()->bytes)) : key;
}

std::vector<Value> items_of(Evaluator& evaluator, const Value& value) {
  std::vector<Value> items = iterate(value);
  evaluator.charge(items.size() * 16);
  return items;
}

// The permutation that sorts `keys`; stable, and turned round as Python's reverse=True does.
std::vector<size_t> sorted_order(Evaluator& evaluator, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  evaluator.charge(keys.size() * 64);
  for (const Value& key : keys)
    if (key.real() && std::isnan(*key.real())) throw InputError("NaN has no place in an order; reject it first");
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    evaluator.charge(0);
    return reverse ? less(keys[b], keys[a]) : less(keys[a], keys[b]);
  });
  return order;
}

Value sort(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"reverse", "case_sensitive", "attribute"}, "sort");
  std::vector<Value> items = items_of(evaluator, input), keys, sorted;
  // attribute="a,b" sorts by a, then b
  std::vector<Value> paths;
  if (bound[2] && bound[2]->text())
    for (const std::string_view path : split_at(bound[2]->text()->bytes, ",", -1, false)) paths.emplace_back(path);
  for (const Value& item : items) {
    if (paths.size() > 1) {
      std::vector<Value> parts;
      parts.reserve(paths.size());
      for (const Value& path : paths) parts.push_back(sort_key(evaluator, item, path, flag(bound[1])));
      keys.push_back(Value::list(std::move(parts)));
    } else {
      keys.push_back(sort_key(evaluator, item, bound[2], flag(bound[1])));
    }
  }
  for (const size_t i : sorted_order(evaluator, keys, flag(bound[0]))) sorted.push_back(items[i]);
  return Value::list(std::move(sorted));
}

Value dictsort(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"case_sensitive", "by", "reverse"}, "dictsort");
  if (!input.dict()) throw InputError("dictsort sorts a dict, not a {}", type_name(input));
  const std::string by = bound[1] ? text_argument(*bound[1], "by of dictsort") : "key";
  if (by != "key" && by != "value") throw InputError("dictsort sorts by 'key' or 'value', not '{}'", tessera::quoted(by));
  std::vector<Value> keys, sorted;
  for (const auto& [key, value] : input.dict()->items)
    keys.push_back(sort_key(evaluator, by == "key" ? key : value, std::nullopt, flag(bound[0])));
  for (const size_t i : sorted_order(evaluator, keys, flag(bound[2])))
    sorted.push_back(Value::list({input.dict()->items[i].first, input.dict()->items[i].second}, Form::tuple));
  return Value::list(std::move(sorted));
}

Value unique(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"case_sensitive", "attribute"}, "unique");
  std::vector<Value> seen, kept;
  for (Value& item : items_of(evaluator, input)) {
    Value key = sort_key(evaluator, item, bound[1], flag(bound[0]));
    evaluator.charge(seen.size() * 16);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& other) { return equal(key, other); })) continue;
    seen.push_back(std::move(key));
    kept.push_back(std::move(item));
  }
  return Value::list(std::move(kept), Form::generator);
}

Value extreme(Evaluator& evaluator, std::string_view name, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"case_sensitive", "attribute"}, name);
  const std::vector<Value> items = items_of(evaluator, input);
  if (items.empty()) return Value::undefined("the list is empty");
  size_t best = 0;
  std::vector<Value> keys;
  keys.reserve(items.size());
  for (const Value& item : items) keys.push_back(sort_key(evaluator, item, bound[1], flag(bound[0])));
  for (size_t i = 1; i < keys.size(); ++i)
    if (name == "min" ? less(keys[i], keys[best]) : less(keys[best], keys[i])) best = i;
  return items[best];
}

Value groupby(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"attribute", "default", "case_sensitive"}, "groupby");
  if (!bound[0]) throw InputError("groupby needs an attribute, as in groupby('role')");
  const std::vector<Value> items = items_of(evaluator, input);
  std::vector<Value> names, keys, groups;
  for (const Value& item : items) {
    Value name = follow(evaluator, item, *bound[0]);
    if (name.is_undefined() && bound[1]) name = *bound[1];
    keys.push_back(name.text() && !flag(bound[2]) ? Value(lower(name.text()->bytes)) : name);
    names.push_back(std::move(name));
  }
  const std::vector<size_t> order = sorted_order(evaluator, keys, false);
  for (size_t begin = 0; begin < order.size();) {
    std::vector<Value> group;
    size_t end = begin;
    while (end < order.size() && equal(keys[order[end]], keys[order[begin]])) group.push_back(items[order[end++]]);
    groups.push_back(Value::list({names[order[begin]], Value::list(std::move(group))}, Form::tuple, true));
    begin = end;
  }
  return Value::list(std::move(groups));
}

Value map(Evaluator& evaluator, const Value& input, Arguments arguments) {
  std::vector<Value> mapped;
  const bool by_attribute = arguments.positional.empty();
  const Bound bound = by_attribute ? bind(arguments, {"attribute", "default"}, "map") : Bound{};
  if (by_attribute && !arguments.named.empty() && !bound[0]) throw InputError("map takes a filter's name or attribute=");
  if (by_attribute && arguments.named.empty()) throw InputError("map takes a filter's name or attribute=");
  std::string name;
  if (!by_attribute) {
    name = text_argument(arguments.positional[0], "the filter that map applies");
    arguments.positional.erase(arguments.positional.begin());
  }
  if (!truth(input)) return Value::list({}, Form::generator);  // as jinja2: None has no items here
  for (const Value& item : items_of(evaluator, input)) {
    if (!by_attribute) {
      mapped.push_back(evaluator.filter(name, item, arguments));
      continue;
    }
    Value found = follow(evaluator, item, *bound[0]);
    if (found.is_undefined() && bound[1]) found = *bound[1];
    mapped.push_back(std::move(found));
  }
  return Value::list(std::move(mapped), Form::generator);
}

// select, reject, selectattr, rejectattr: an attribute first for the last two, then a test and its arguments (none: truth).
Value select(Evaluator& evaluator, std::string_view name, const Value& input, Arguments arguments) {
  const bool by_attribute = name.ends_with("attr"), keeps = name.starts_with("select");
  const auto shift = [&] {
    Value first = std::move(arguments.positional.front());
    arguments.positional.erase(arguments.positional.begin());
    return first;
  };
  if (by_attribute && arguments.positional.empty()) throw InputError("{} needs an attribute, as in {}('role')", name, name);
  const Value path = by_attribute ? shift() : Value();
  const Value test = arguments.positional.empty() ? Value() : shift();
  std::vector<Value> kept;
  if (!truth(input)) return Value::list({}, Form::generator);
  for (Value& item : items_of(evaluator, input)) {
    const Value tested = by_attribute ? follow(evaluator, item, path) : item;
    const bool holds = test.is_undefined() ? truth(tested) : evaluator.test(text_argument(test, "the test of a filter"), tested, arguments);
    if (holds == keeps) kept.push_back(std::move(item));
  }
  return Value::list(std::move(kept), Form::generator);
}

Value batch(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"linecount", "fill_with"}, "batch");
  const int64_t size = number_or(bound[0], 0, "the length of a batch");
  if (size < 1) throw InputError("batch needs a length of 1 or more");
  std::vector<Value> rows, row;
  for (Value& item : items_of(evaluator, input)) {
    if (static_cast<int64_t>(row.size()) == size) rows.push_back(Value::list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    if (bound[1] && !bound[1]->is_none()) {
      if (size > 100'000) throw InputError("batch fills rows of at most 100000 items");
      evaluator.charge(static_cast<size_t>(size) * 16);
      row.resize(static_cast<size_t>(size), *bound[1]);
    }
    rows.push_back(Value::list(std::move(row)));
  }
  return Value::list(std::move(rows), Form::generator);
}

Value slices(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"slices", "fill_with"}, "slice");
  const int64_t count = number_or(bound[0], 0, "the number of slices");
  if (count < 1 || count > 100'000) throw InputError("slice needs a number of slices from 1 to 100000");
  const std::vector<Value> items = items_of(evaluator, input);
  evaluator.charge(static_cast<size_t>(count) * 16);
  const size_t each = items.size() / static_cast<size_t>(count), longer = items.size() % static_cast<size_t>(count);
  std::vector<Value> columns;
  size_t at = 0;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const size_t size = each + (i < longer ? 1 : 0);
    std::vector<Value> column(items.begin() + static_cast<std::ptrdiff_t>(at), items.begin() + static_cast<std::ptrdiff_t>(at + size));
    at += size;
    if (bound[1] && !bound[1]->is_none() && i >= longer && longer > 0) column.push_back(*bound[1]);
    columns.push_back(Value::list(std::move(column)));
  }
  return Value::list(std::move(columns), Form::generator);
}

Value sum(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"attribute", "start"}, "sum");
  Value total = bound[1] ? *bound[1] : Value(0);
  for (const Value& item : items_of(evaluator, input))
    total = evaluator.arithmetic("+", total, bound[0] && !bound[0]->is_none() ? follow(evaluator, item, *bound[0]) : item);
  return total;
}

Value rounded(const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"precision", "method"}, "round");
  if (!input.is_number()) throw InputError("round needs a number, not a {}", type_name(input));
  const std::string method = bound[1] ? text_argument(*bound[1], "the method of round") : "common";
  const int64_t precision = number_or(bound[0], 0, "the precision of round");
  if (precision < -300 || precision > 300) throw InputError("the precision of round is {}; give -300 to 300", precision);
  const double number = as_real(input), scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil" || method == "floor") return (method == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale;
  if (method != "common") throw InputError("round knows the methods common, ceil and floor, not '{}'", tessera::quoted(method));
  if (!input.real() && precision >= 0) return input.boolean() ? Value(*input.boolean() ? 1 : 0) : input;
  if (precision < 0) {
    const double result = std::nearbyint(number * scale) / scale;
    return input.real() ? Value(result) : Value(static_cast<int64_t>(result));
  }
  // Python rounds the exact decimal expansion, half to even: so does printf
  return std::stod(fmt::format("{:.{}f}", number, precision));
}

Value to_whole(const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"default", "base"}, "int");
  Value fallback = bound[0] ? *bound[0] : Value(0);
  if (input.integer()) return input;
  if (input.boolean()) return *input.boolean() ? 1 : 0;
  if (input.real()) return std::abs(*input.real()) < 9.2e18 ? Value(static_cast<int64_t>(*input.real())) : fallback;
  if (!input.text()) return fallback;
  int64_t base = number_or(bound[1], 10, "the base of int");
  std::string digits(strip(input.text()->bytes, Side::both));
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  const std::string prefix = lower(digits.substr(0, 2));
  if ((base == 16 && prefix == "0x") || (base == 8 && prefix == "0o") || (base == 2 && prefix == "0b")) digits.erase(0, 2);
  for (size_t at = digits.find('_'); at != std::string::npos && at > 0 && at + 1 < digits.size(); at = digits.find('_', at))
    digits.erase(at, 1);
  if (base < 2 || base > 36) return fallback;
  int64_t whole = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), whole, static_cast<int>(base));
  if (!digits.empty() && digits[0] != '-' && read.ec == std::errc() && read.ptr == digits.data() + digits.size())
    return negative ? -whole : whole;
  double real = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), real);
  if (base == 10 && parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && std::abs(real) < 9.2e18)
    return static_cast<int64_t>(negative ? -real : real);
  return fallback;
}

Value to_real(const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"default"}, "float");
  if (input.is_number()) return as_real(input);
  if (input.text()) {
    std::string digits(strip(input.text()->bytes, Side::both));
    if (digits.starts_with('+')) digits.erase(0, 1);
    double real = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), real);
    if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && !digits.empty()) return real;
  }
  return bound[0] ? *bound[0] : Value(0.0);
}

Value ends(Evaluator& evaluator, std::string_view name, const Value& input) {
  if (name == "last" && input.list() && input.list()->form == Form::generator) throw InputError("last needs a list; add |list before it");
  const std::vector<Value> items = items_of(evaluator, input);
  if (items.empty()) return Value::undefined("the list is empty");
  return name == "first" ? items.front() : items.back();
}

Value reversed(Evaluator& evaluator, const Value& input) {
  std::vector<Value> items = items_of(evaluator, input);
  std::reverse(items.begin(), items.end());
  if (!input.text()) return Value::list(std::move(items), Form::generator);
  std::string out;
  for (const Value& item : items) out += item.text()->bytes;
  return evaluator.text(std::move(out));
}

Value pairs(const Value& input) {
  if (input.is_undefined()) return Value::list({}, Form::generator);
  if (!input.dict()) throw InputError("items needs a dict, not a {}", type_name(input));
  std::vector<Value> items;
  for (const auto& [key, value] : input.dict()->items) items.push_back(Value::list({key, value}, Form::tuple));
  return Value::list(std::move(items), Form::generator);
}

Value fallback(const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"default_value", "boolean"}, "default");
  if (input.is_undefined() || (flag(bound[1]) && !truth(input))) return bound[0] ? *bound[0] : Value("");
  return input;
}

Value absolute(Evaluator& evaluator, const Value& input) {
  if (input.real()) return std::abs(*input.real());
  const int64_t whole = whole_number(input, "the input of abs");
  return whole < 0 ? evaluator.arithmetic("-", Value(0), Value(whole)) : Value(whole);
}

}  // namespace

Value Evaluator::filter(std::string_view name, const Value& input, Arguments arguments) {
  const Deeper deeper(*this);
  charge(input.text() ? input.text()->bytes.size() : 0);
  if (name == "tojson") return to_json(*this, input, std::move(arguments));
  if (name == "default" || name == "d") return fallback(input, arguments);
  if (name == "length" || name == "count") return size_of(input);
  if (name == "list") return Value::list(items_of(*this, input));
  if (name == "first" || name == "last") return ends(*this, name, input);
  if (name == "map") return map(*this, input, std::move(arguments));
  if (name == "select" || name == "reject" || name == "selectattr" || name == "rejectattr")
    return select(*this, name, input, std::move(arguments));
  if (name == "items") return pairs(input);
  if (name == "sort") return sort(*this, input, arguments);
  if (name == "dictsort") return dictsort(*this, input, arguments);
  if (name == "unique") return unique(*this, input, arguments);
  if (name == "min" || name == "max") return extreme(*this, name, input, arguments);
  if (name == "groupby") return groupby(*this, input, arguments);
  if (name == "batch") return batch(*this, input, arguments);
  if (name == "slice") return slices(*this, input, arguments);
  if (name == "sum") return sum(*this, input, arguments);
  if (name == "reverse") return reversed(*this, input);
  if (name == "round") return rounded(input, arguments);
  if (name == "int") return to_whole(input, arguments);
  if (name == "float") return to_real(input, arguments);
  if (name == "abs") return absolute(*this, input);
  if (name == "attr") {
    const Bound bound = bind(std::move(arguments), {"name"}, "attr");
    if (input.dict() || !bound[0]) return Value::undefined("attr looks at attributes, not at keys");
    return attribute(input, text_argument(*bound[0], "the name of attr"));
  }
  if (auto value = text_filter(*this, name, input, arguments)) return std::move(*value);
  for (const std::string_view refused : {"random", "urlize", "pprint", "filesizeformat", "wordwrap"})
    if (name == refused) throw InputError("the filter '{}' is not available in chat templates; remove it", refused);
  throw InputError("there is no filter '{}'; look for a typing error", tessera::quoted(name));
}

}  // namespace tessera::text::jinja
