// Arithmetic as Python does it, on 64-bit integers: what would need more digits is an error.

#include <cmath>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

[[noreturn]] void overflow() { throw InputError("a number passes 64 bits; use smaller numbers or a float"); }

int64_t floor_divide(int64_t a, int64_t b) {
  if (a == INT64_MIN && b == -1) overflow();
  const int64_t quotient = a / b;
  return a % b != 0 && ((a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest;
}

double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest == 0 ? std::copysign(0.0, b) : rest;
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

Value whole_arithmetic(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  if (b == 0 && (op == "/" || op == "//" || op == "%")) throw InputError("a number is divided by 0; test the divisor first");
  if (op == "+" ? __builtin_add_overflow(a, b, &result) : op == "-" ? __builtin_sub_overflow(a, b, &result) : false) overflow();
  if (op == "*" && __builtin_mul_overflow(a, b, &result)) overflow();
  if (op == "/") return static_cast<double>(a) / static_cast<double>(b);
  if (op == "//") return floor_divide(a, b);
  if (op == "%") return modulo(a, b);
  if (op == "**") {
    if (b >= 0) return power(a, b);
    if (a == 0) throw InputError("0 is raised to a negative power; test it first");
    return std::pow(static_cast<double>(a), static_cast<double>(b));
  }
  return result;
}

Value real_arithmetic(std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") {
    const double result = std::pow(a, b);
    if (std::isnan(result) && !std::isnan(a) && !std::isnan(b))
      throw InputError("a negative number is raised to a fraction; the result is no real number");
    if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) overflow();
    return result;
  }
  if (b == 0) throw InputError("a number is divided by 0; test the divisor first");
  if (op == "/") return a / b;
  if (op == "%") return modulo(a, b);
  return std::floor((a - modulo(a, b)) / b);
}

}  // namespace

Value Evaluator::arithmetic(std::string_view op, const Value& left, const Value& right) {
  for (const Value* side : {&left, &right}) {
    if (!side->is_undefined()) continue;
    const auto& why = side->undefined()->why;
    throw InputError("{}; test it with 'is defined' or give it a |default", why ? *why : "a value is undefined");
  }
  const auto whole = [](const Value& value) { return value.integer() ? *value.integer() : static_cast<int64_t>(*value.boolean()); };
  if (left.is_number() && right.is_number())
    return left.real() || right.real() ? real_arithmetic(op, as_real(left), as_real(right))
                                       : whole_arithmetic(op, whole(left), whole(right));
  if (op == "+" && left.text() && right.text()) {
    const bool safe = left.text()->safe || right.text()->safe;
    const auto part = [&](const Text& text) { return safe && !text.safe ? escape_html(text.bytes) : text.bytes; };
    return text(part(*left.text()) + part(*right.text()), safe);
  }
  if (op == "%" && left.text()) return text(percent_format(left.text()->bytes, right), left.text()->safe);
  const List *a = left.list(), *b = right.list();
  if (op == "+" && a && b && a->form == b->form && a->form <= Form::tuple) {
    std::vector<Value> items = a->items;
    items.insert(items.end(), b->items.begin(), b->items.end());
    charge(items.size() * 16);
    return Value::list(std::move(items), a->form);
  }
  const bool left_counts = left.integer() || left.boolean(), right_counts = right.integer() || right.boolean();
  if (op == "*" && (left_counts || right_counts)) {
    const Value& repeated = left_counts ? right : left;
    const int64_t count = std::max<int64_t>(0, whole(left_counts ? left : right));
    const bool sequence = repeated.list() && repeated.list()->form <= Form::tuple;
    if (repeated.text() || sequence) {
      const double bytes = static_cast<double>(count) * (sequence ? 16.0 * static_cast<double>(repeated.list()->items.size())
                                                                  : static_cast<double>(repeated.text()->bytes.size()));
      if (bytes > static_cast<double>(limits_.output_bytes))
        throw InputError("a value is repeated {} times; that passes {} bytes", count, limits_.output_bytes);
      charge(static_cast<size_t>(bytes));
      if (repeated.text()) {
        std::string out;
        for (int64_t i = 0; bytes > 0 && i < count; ++i) out += repeated.text()->bytes;
        return Value(std::move(out));
      }
      std::vector<Value> items;
      for (int64_t i = 0; bytes > 0 && i < count; ++i)
        items.insert(items.end(), repeated.list()->items.begin(), repeated.list()->items.end());
      return Value::list(std::move(items), repeated.list()->form);
    }
  }
  throw InputError("'{}' joins a {} and a {}; convert one with |string, |int or |list", op, type_name(left), type_name(right));
}

}  // namespace tessera::text::jinja
