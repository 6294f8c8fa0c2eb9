// Expressions: from a node of the tree to its value.

#include <algorithm>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {

using Is = Expr::Kind;

Value Evaluator::eval(const Expr& expr, const ScopePtr& scope) {
  const Deeper deeper(*this);
  try {
    charge(0);
    return eval_inner(expr, scope);
  } catch (const InputError& error) {
    if (placed_) throw;
    fail(expr.at, error.what());
  }
}

Value Evaluator::eval_inner(const Expr& expr, const ScopePtr& scope) {
  switch (expr.kind) {
    case Is::constant:
      return expr.value;
    case Is::name:
      return eval_name(expr, scope);
    case Is::list:
    case Is::tuple:
      return eval_items(expr, scope);
    case Is::dict:
      return eval_dict(expr, scope);
    case Is::negate:
    case Is::plus:
      return eval_sign(expr, scope);
    case Is::invert:
      return !truth(eval(*expr.items[0], scope));
    case Is::arithmetic: {
      const Value left = eval(*expr.items[0], scope);
      return arithmetic(expr.text, left, eval(*expr.items[1], scope));
    }
    case Is::concat:
      return eval_concat(expr, scope);
    case Is::both:
    case Is::either: {
      Value left = eval(*expr.items[0], scope);
      return truth(left) == (expr.kind == Is::either) ? left : eval(*expr.items[1], scope);
    }
    case Is::compare:
      return eval_compare(expr, scope);
    case Is::attribute:
      return attribute(eval(*expr.items[0], scope), expr.text);
    case Is::item: {
      const Value value = eval(*expr.items[0], scope);
      return item(value, eval(*expr.items[1], scope));
    }
    case Is::slice:
      return eval_slice(expr, scope);
    case Is::call:
      return eval_call(expr, scope, nullptr);
    case Is::filter:
      return eval_filter(expr, scope, nullptr);
    case Is::test: {
      const Value value = eval(*expr.items[0], scope);
      return test(expr.text, value, arguments(expr.arguments, scope));
    }
    case Is::condition: {
      if (truth(eval(*expr.items[0], scope))) return eval(*expr.items[1], scope);
      if (expr.items[2]) return eval(*expr.items[2], scope);
      return Value::undefined("the inline if has no else and its condition is false");
    }
    case Is::field:
      break;
  }
  throw InputError("a field cannot stand here");
}

Value Evaluator::eval_name(const Expr& expr, const ScopePtr& scope) {
  if (const Value* value = scope->find(expr.text)) return *value;
  return Value::undefined(fmt::format("'{}' is undefined", tessera::quoted(expr.text)));
}

Value Evaluator::eval_items(const Expr& expr, const ScopePtr& scope) {
  std::vector<Value> items;
  items.reserve(expr.items.size());
  for (const auto& item : expr.items) items.push_back(eval(*item, scope));
  return Value::list(std::move(items), expr.kind == Is::tuple ? Form::tuple : Form::list);
}

Value Evaluator::eval_dict(const Expr& expr, const ScopePtr& scope) {
  std::vector<std::pair<Value, Value>> items;
  for (size_t i = 0; i + 1 < expr.items.size(); i += 2) {
    Value key = eval(*expr.items[i], scope);
    items.emplace_back(std::move(key), eval(*expr.items[i + 1], scope));
  }
  return Value::dict(std::move(items));
}

Value Evaluator::eval_sign(const Expr& expr, const ScopePtr& scope) {
  const Value value = eval(*expr.items[0], scope);
  if (!value.is_number()) throw InputError("a sign stands before a {}; it needs a number", type_name(value));
  if (expr.kind == Is::negate) return value.real() ? Value(-*value.real()) : arithmetic("-", Value(0), value);
  return value.boolean() ? Value(*value.boolean() ? 1 : 0) : value;
}

Value Evaluator::eval_concat(const Expr& expr, const ScopePtr& scope) {
  std::string joined;
  for (const auto& item : expr.items) joined += to_text(eval(*item, scope));
  return text(std::move(joined));
}

bool Evaluator::compare(std::string_view op, const Value& left, const Value& right) {
  if (op == "==") return equal(left, right);
  if (op == "!=") return !equal(left, right);
  if (op == "in") return contains(right, left);
  if (op == "not in") return !contains(right, left);
  if (op == "<") return less(left, right);
  if (op == ">") return less(right, left);
  const bool unordered = (left.real() && *left.real() != *left.real()) || (right.real() && *right.real() != *right.real());
  if (op == "<=") return !less(right, left) && !unordered;
  return !less(left, right) && !unordered;
}

Value Evaluator::eval_compare(const Expr& expr, const ScopePtr& scope) {
  Value left = eval(*expr.items[0], scope);
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    Value right = eval(*expr.items[i + 1], scope);
    charge(left.text() ? left.text()->bytes.size() : 0);
    if (!compare(expr.ops[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

bool Evaluator::contains(const Value& inside, const Value& value) {
  if (const Text* text = inside.text()) {
    if (!value.text()) throw InputError("'in' looks for a {} in a string; it needs a string", type_name(value));
    return text->bytes.find(value.text()->bytes) != std::string::npos;
  }
  if (const Dict* dict = inside.dict()) return find(*dict, value) != nullptr;
  if (const List* list = inside.list(); list && list->form != Form::generator) {
    charge(list->items.size() * 16);
    return std::any_of(list->items.begin(), list->items.end(), [&](const Value& item) { return equal(item, value); });
  }
  const std::vector<Value> items = iterate(inside);
  return std::any_of(items.begin(), items.end(), [&](const Value& item) { return equal(item, value); });
}

Value Evaluator::eval_slice(const Expr& expr, const ScopePtr& scope) {
  const Value value = eval(*expr.items[0], scope);
  const auto part = [&](size_t i) { return expr.items[i] ? eval(*expr.items[i], scope) : Value(None{}); };
  const Value begin = part(1), end = part(2), step = part(3);
  return slice(value, begin, end, step);
}

Arguments Evaluator::arguments(const CallArguments& given, const ScopePtr& scope) {
  Arguments all;
  for (const auto& item : given.positional) all.positional.push_back(eval(*item, scope));
  if (given.rest) {
    for (Value& item : iterate(eval(*given.rest, scope))) all.positional.push_back(std::move(item));
    charge(all.positional.size() * 16);
  }
  for (const auto& [name, item] : given.named) all.named.emplace_back(name, eval(*item, scope));
  if (given.named_rest) {
    const Value rest = eval(*given.named_rest, scope);
    if (!rest.dict()) throw InputError("** takes a dict, not a {}", type_name(rest));
    for (const auto& [key, value] : rest.dict()->items) all.named.emplace_back(text_argument(key, "a name behind **"), value);
  }
  return all;
}

Value Evaluator::eval_call(const Expr& expr, const ScopePtr& scope, const Value* caller) {
  const Value callee = eval(*expr.items[0], scope);
  Arguments given = arguments(expr.arguments, scope);
  if (caller) given.named.emplace_back("caller", *caller);
  return call(callee, std::move(given), expr.at);
}

Value Evaluator::eval_filter(const Expr& expr, const ScopePtr& scope, const Value* input) {
  // A chain in {% filter a|b %} hangs on a null leaf, which stands for the block's text.
  const Value value = !expr.items[0] ? *input : input ? eval_filter(*expr.items[0], scope, input) : eval(*expr.items[0], scope);
  return filter(expr.text, value, arguments(expr.arguments, scope));
}

}  // namespace tessera::text::jinja
