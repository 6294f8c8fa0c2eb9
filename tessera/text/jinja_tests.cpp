// Tests: what may stand behind `is`.

#include <algorithm>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

bool is_sequence(const Value& value) {
  return value.text() || value.dict() || value.is_undefined() || (value.list() && value.list()->form <= Form::range);
}

bool is_iterable(const Value& value) { return is_sequence(value) || value.list() || value.loop(); }

// The tests that look at nothing but the value; nullopt when `name` is none of them.
std::optional<bool> plain_test(std::string_view name, const Value& value) {
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return value.is_none();
  if (name == "string") return value.is_text();
  if (name == "mapping") return value.dict() != nullptr;
  if (name == "boolean") return value.boolean() != nullptr;
  if (name == "number") return value.is_number();
  if (name == "integer") return value.integer() != nullptr;
  if (name == "float") return value.real() != nullptr;
  if (name == "true" || name == "false") return value.boolean() && *value.boolean() == (name == "true");
  if (name == "sequence") return is_sequence(value);
  if (name == "iterable") return is_iterable(value);
  if (name == "callable") return value.callable() || value.loop() || value.is_undefined();
  if (name == "escaped") return value.text() && value.text()->safe;
  if (name == "upper") return all_are(to_text(value), Class::upper);
  if (name == "lower") return all_are(to_text(value), Class::lower);
  return std::nullopt;
}

bool divides(const Value& value, const Value& divisor, Evaluator& evaluator) {
  return equal(evaluator.arithmetic("%", value, divisor), Value(0));
}

}  // namespace

bool Evaluator::test(std::string_view name, const Value& value, Arguments arguments) {
  if (name == "odd" || name == "even") return equal(arithmetic("%", value, Value(2)), Value(name == "odd" ? 1 : 0));
  if (const auto plain = plain_test(name, value)) return *plain;
  const auto first = [&]() -> const Value& {
    if (arguments.positional.empty() && arguments.named.size() == 1) return arguments.named[0].second;
    if (arguments.positional.size() != 1) throw InputError("the test '{}' needs one value to compare with", tessera::quoted(name));
    return arguments.positional[0];
  };
  if (name == "divisibleby") return divides(value, first(), *this);
  if (name == "equalto" || name == "eq" || name == "==") return equal(value, first());
  if (name == "ne" || name == "!=") return !equal(value, first());
  if (name == "lt" || name == "<" || name == "lessthan") return less(value, first());
  if (name == "gt" || name == ">" || name == "greaterthan") return less(first(), value);
  if (name == "le" || name == "<=") return !less(first(), value);
  if (name == "ge" || name == ">=") return !less(value, first());
  if (name == "in") return contains(first(), value);
  if (name == "sameas") return type_name(value) == type_name(first()) && equal(value, first());
  throw InputError("there is no test '{}'; look for a typing error", tessera::quoted(name));
}

}  // namespace tessera::text::jinja
