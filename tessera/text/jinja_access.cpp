// Attributes, items, slices, calls and arithmetic: what an expression does to a value.

#include <algorithm>
#include <cmath>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {

static constexpr int64_t kLongestRange = 100'000;  // as jinja2's sandbox

[[noreturn]] static void use_of_undefined(const Value& value) {
  const auto& why = value.undefined()->why;
  throw InputError("{}; test it with 'is defined' or give it a |default", why ? *why : "a value is undefined");
}

Value loop_field(const Loop& loop, std::string_view name) {
  const auto size = static_cast<int64_t>(loop.items.size());
  const int64_t at = loop.index0;
  if (name == "index") return at + 1;
  if (name == "index0") return at;
  if (name == "revindex") return size - at;
  if (name == "revindex0") return size - at - 1;
  if (name == "first") return at == 0;
  if (name == "last") return at + 1 >= size;
  if (name == "length") return size;
  if (name == "depth") return loop.depth0 + 1;
  if (name == "depth0") return loop.depth0;
  if (name == "previtem") return at > 0 ? loop.items[static_cast<size_t>(at - 1)] : Value::undefined("there is no previous item");
  if (name == "nextitem") return at + 1 < size ? loop.items[static_cast<size_t>(at + 1)] : Value::undefined("there is no next item");
  return Value::undefined(fmt::format("the loop has no '{}'", tessera::quoted(name)));
}

Value Evaluator::attribute(const Value& value, std::string_view name) {
  if (value.is_undefined()) use_of_undefined(value);
  if (!name.starts_with('_')) {
    if (is_method(value, name)) return Value(Callable{std::string(name), std::make_shared<const Value>(value), nullptr});
    if (const Dict* dict = value.dict())
      if (const Value* found = find(*dict, name)) return *found;
    if (value.list() && value.list()->group && (name == "grouper" || name == "list")) return value.list()->items[name == "list" ? 1 : 0];
    if (const Namespace* scope = value.scope())
      if (const Value* found = scope->find(name)) return *found;
    if (value.callable() && value.callable()->macro && name == "name") return Value(value.callable()->name);
    if (value.loop()) {
      if (name == "cycle" || name == "changed") return Value(Callable{std::string(name), std::make_shared<const Value>(value), nullptr});
      return loop_field(*value.loop(), name);
    }
  }
  return Value::undefined(fmt::format("the {} has no '{}'", type_name(value), tessera::quoted(name)));
}

Value Evaluator::item(const Value& value, const Value& key) {
  if (value.is_undefined()) use_of_undefined(value);
  if (const Dict* dict = value.dict()) {
    if (!key.text()) charge(dict->items.size());
    if (const Value* found = find(*dict, key)) return *found;
  } else if (key.integer() || key.boolean()) {
    int64_t index = key.integer() ? *key.integer() : *key.boolean();
    const List* list = value.list();
    const bool indexable = list && list->form <= Form::range;
    if (value.text()) charge(value.text()->bytes.size());
    const int64_t size = indexable || value.text() ? size_of(value) : 0;
    if (index < 0) index += size;
    if (index >= 0 && index < size) {
      if (list) return list->items[static_cast<size_t>(index)];
      const auto offsets = point_offsets(value.text()->bytes);
      const size_t at = offsets[static_cast<size_t>(index)];
      return Value(value.text()->bytes.substr(at, offsets[static_cast<size_t>(index) + 1] - at));
    }
    return Value::undefined(fmt::format("the {} has no item {}", type_name(value), *(key.integer() ? key.integer() : &index)));
  }
  if (key.text()) return attribute(value, key.text()->bytes);
  return Value::undefined(fmt::format("the {} has no such item", type_name(value)));
}

Value Evaluator::slice(const Value& value, const Value& begin, const Value& end, const Value& step) {
  if (value.is_undefined()) use_of_undefined(value);
  const List* list = value.list();
  if (!value.text() && !(list && list->form <= Form::range))
    return Value::undefined(fmt::format("a {} cannot be sliced", type_name(value)));
  const int64_t size = size_of(value), stride = step.is_none() ? 1 : whole_number(step, "the step of a slice");
  if (stride == 0) throw InputError("the step of a slice is 0; give 1 or another number");
  const auto bound = [&](const Value& given, int64_t fallback) {
    if (given.is_none()) return fallback;
    int64_t at = whole_number(given, "the bound of a slice");
    if (at < 0) at += size;
    return std::clamp<int64_t>(at, stride > 0 ? 0 : -1, stride > 0 ? size : size - 1);
  };
  const int64_t from = bound(begin, stride > 0 ? 0 : size - 1), to = bound(end, stride > 0 ? size : -1);
  std::vector<size_t> picked;
  const int64_t capped = std::clamp<int64_t>(stride, -size - 1, size + 1);
  for (int64_t at = from; capped > 0 ? at < to : at > to; at += capped) picked.push_back(static_cast<size_t>(at));
  charge(picked.size() * 16);
  if (list) {
    std::vector<Value> items;
    items.reserve(picked.size());
    for (const size_t at : picked) items.push_back(list->items[at]);
    return Value::list(std::move(items), list->form);
  }
  const auto offsets = point_offsets(value.text()->bytes);
  charge(offsets.size());
  std::string out;
  for (const size_t at : picked) out += value.text()->bytes.substr(offsets[at], offsets[at + 1] - offsets[at]);
  return text(std::move(out), value.text()->safe);
}

Value Evaluator::call(const Value& callee, Arguments arguments, Position at) {
  const Deeper deeper(*this);
  if (callee.is_undefined()) use_of_undefined(callee);
  if (callee.loop()) {
    for (const auto& [loop, scope] : recursive_)
      if (loop.get() == callee.loop()) return call_loop(loop, std::move(arguments));
    throw InputError("loop(...) is called in a for that is not recursive; write {{% for ... in ... recursive %}}");
  }
  const Callable* function = callee.callable();
  if (!function) fail(at, fmt::format("a {} is called like a function; remove the brackets", type_name(callee)));
  if (function->macro) return call_macro(*function->macro, std::move(arguments));
  if (!function->self) return call_function(function->name, std::move(arguments));
  if (Loop* loop = function->self->loop()) {
    if (function->name == "cycle") {
      if (arguments.positional.empty()) throw InputError("loop.cycle() needs values to go round");
      return arguments.positional[static_cast<size_t>(std::max<int64_t>(loop->index0, 0)) % arguments.positional.size()];
    }
    const bool same = loop->last_changed && std::equal(loop->last_changed->begin(), loop->last_changed->end(), arguments.positional.begin(),
                                                       arguments.positional.end(), equal);
    for (const Value& value : arguments.positional)
      if (value.loop() || value.callable()) throw InputError("loop.changed() compares a {}; give it plain values", type_name(value));
    if (!same) loop->last_changed = std::move(arguments.positional);
    return !same;
  }
  return call_method(*this, *function->self, function->name, std::move(arguments));
}

Value Evaluator::call_macro(const Macro& macro, Arguments given) {
  const Statement& definition = *macro.definition;
  const auto scope = std::make_shared<Scope>();
  scope->parent = macro.closure;
  const size_t count = definition.parameters.size();
  std::vector<std::optional<Value>> values(count);
  for (size_t i = 0; i < std::min(count, given.positional.size()); ++i) values[i] = std::move(given.positional[i]);
  Value caller = Value::undefined("the macro was not called by {% call %}");
  std::vector<std::pair<Value, Value>> others;
  for (auto& [name, value] : given.named) {
    const auto known = std::find_if(definition.parameters.begin(), definition.parameters.end(),
                                    [&, &named = name](const Parameter& p) { return p.name == named; });
    if (known != definition.parameters.end()) {
      auto& slot = values[static_cast<size_t>(known - definition.parameters.begin())];
      if (slot) throw InputError("{} got two values for '{}'", tessera::quoted(definition.text), tessera::quoted(name));
      slot = std::move(value);
    } else if (name == "caller" && definition.uses_caller) {
      caller = std::move(value);
    } else if (definition.uses_kwargs) {
      others.emplace_back(Value(name), std::move(value));
    } else {
      throw InputError("{} takes no argument '{}'", tessera::quoted(definition.text), tessera::quoted(name));
    }
  }
  if (given.positional.size() > count && !definition.uses_varargs)
    throw InputError("{} takes at most {} arguments, not {}", tessera::quoted(definition.text), count, given.positional.size());
  if (definition.uses_caller && definition.text != "caller") scope->set("caller", std::move(caller));
  if (definition.uses_kwargs) scope->set("kwargs", Value::dict(std::move(others)));
  if (definition.uses_varargs) {
    std::vector<Value> rest;
    if (given.positional.size() > count) rest.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(count), given.positional.end());
    scope->set("varargs", Value::list(std::move(rest), Form::tuple));
  }
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = definition.parameters[i];
    Value value = values[i]            ? std::move(*values[i])
                  : parameter.fallback ? eval(*parameter.fallback, scope)
                                       : Value::undefined(fmt::format("parameter '{}' was not given", tessera::quoted(parameter.name)));
    scope->set(parameter.name, std::move(value));
  }
  return text(captured(definition.body, scope));
}

Value Evaluator::call_loop(const std::shared_ptr<Loop>& loop, Arguments given) {
  if (given.positional.size() != 1) throw InputError("loop(...) takes the items to go through");
  const Statement& statement = *loop->statement;
  const auto held = std::find_if(recursive_.begin(), recursive_.end(), [&](const auto& entry) { return entry.first == loop; });
  const ScopePtr scope = held->second;
  const int64_t depth0 = loop->depth0 + 1;
  std::string out;
  open_.push_back(&out);
  struct Closing {
    ~Closing() { open.pop_back(); }
    std::vector<std::string*>& open;
  } const closing{open_};
  run_loop_over(statement, kept_items(statement, iterate(given.positional[0]), scope), depth0, scope, out);
  return text(std::move(out));
}

Value Evaluator::call_function(std::string_view name, Arguments given) {
  if (name == "raise_exception") {
    const auto bound = bind(std::move(given), {"message"}, name);
    throw InputError("the template refuses this conversation: {}", tessera::quoted(bound[0] ? to_text(*bound[0]) : "", 500));
  }
  if (name == "strftime_now") {
    const auto bound = bind(std::move(given), {"format"}, name);
    if (!bound[0]) throw InputError("strftime_now needs a format, as in strftime_now('%Y-%m-%d')");
    return text(strftime(text_argument(*bound[0], "the format of strftime_now")));
  }
  if (name == "range") {
    if (given.positional.empty() || given.positional.size() > 3 || !given.named.empty())
      throw InputError("range takes (end), (begin, end) or (begin, end, step)");
    const auto part = [&](size_t i) { return whole_number(given.positional[i], "an argument of range"); };
    const bool one = given.positional.size() == 1;
    const int64_t begin = one ? 0 : part(0), end = part(one ? 0 : 1), step = given.positional.size() == 3 ? part(2) : 1;
    if (step == 0) throw InputError("the step of range is 0; give another number");
    const double count = (static_cast<double>(end) - static_cast<double>(begin)) / static_cast<double>(step);
    if (count > kLongestRange) throw InputError("range would give {:.0f} numbers; at most {} are allowed", count, kLongestRange);
    std::vector<Value> numbers;
    for (int64_t i = 0; i < static_cast<int64_t>(std::ceil(count)); ++i) numbers.emplace_back(begin + i * step);
    charge(numbers.size() * 16);
    return Value::list(std::move(numbers), Form::range);
  }
  // dict(...) and namespace(...): entries of a dict or of pairs, then names
  if (given.positional.size() > 1) throw InputError("{} takes one dict and names", name);
  std::vector<std::pair<Value, Value>> entries;
  if (!given.positional.empty()) {
    if (const Dict* dict = given.positional[0].dict()) {
      entries = dict->items;
    } else {
      for (const Value& entry : iterate(given.positional[0])) {
        std::vector<Value> pair = iterate(entry);
        if (pair.size() != 2) throw InputError("{} takes pairs of key and value, not {} values", name, pair.size());
        entries.emplace_back(std::move(pair[0]), std::move(pair[1]));
      }
    }
  }
  for (auto& [key, value] : given.named) entries.emplace_back(Value(key), std::move(value));
  charge(entries.size() * 64);
  if (name == "dict") return Value::dict(std::move(entries));
  namespaces_.emplace_back();
  for (auto& [key, value] : entries) namespaces_.back().set(text_argument(key, "a field of a namespace"), std::move(value));
  return Value(&namespaces_.back());
}

}  // namespace tessera::text::jinja
