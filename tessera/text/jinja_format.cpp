// "..." % values, "...".format(...) and strftime.

#include <fmt/args.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

constexpr int64_t kWidest = 10'000;  // widths and precisions

// A format's fields: [[fill]align][sign][#][0][width][,][.precision][type], as in Python.
struct Spec {
  std::string fill = " ";
  char align = 0, sign = '-', type = 0, group = 0;
  bool alternate = false;
  int64_t width = 0, precision = -1;
};

int64_t read_number(std::string_view text, size_t& at) {
  int64_t number = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) number = std::min(kWidest + 1, number * 10 + (text[at] - '0'));
  if (number > kWidest) throw InputError("a format asks for a width above {}; give a smaller one", kWidest);
  return number;
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t at = 0, second = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!text.empty()) next_point(text, second);
  if (second > 0 && second < text.size() && is_align(text[second])) {
    spec.fill = text.substr(0, second);
    spec.align = text[second];
    at = second + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[at++];
  }
  const auto skip = [&](char c) { return at < text.size() && text[at] == c && ++at; };
  for (const char sign : {'+', '-', ' '})
    if (skip(sign)) spec.sign = sign;
  spec.alternate = skip('#');
  if (skip('0') && !spec.align) spec.fill = "0", spec.align = '=';
  spec.width = read_number(text, at);
  for (const char group : {',', '_'})
    if (skip(group)) spec.group = group;
  if (skip('.')) spec.precision = read_number(text, at);
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) throw InputError("'{}' is no format; use forms such as >10, .2f or 03d", tessera::quoted(text));
  return spec;
}

std::string pad(const std::string& sign, const std::string& body, const Spec& spec, char natural) {
  const char align = spec.align ? spec.align : natural;
  const int64_t missing = spec.width - static_cast<int64_t>(length(sign) + length(body));
  const auto run = [&](int64_t count) {
    std::string out;
    for (int64_t i = 0; i < count; ++i) out += spec.fill;
    return out;
  };
  if (missing <= 0) return sign + body;
  if (align == '<') return sign + body + run(missing);
  if (align == '=') return sign + run(missing) + body;
  if (align == '^') return run(missing / 2) + sign + body + run(missing - missing / 2);
  return run(missing) + sign + body;
}

std::string grouped(std::string digits, char separator, size_t every) {
  size_t whole = digits.find_first_not_of("0123456789abcdefABCDEF");
  if (whole == std::string::npos) whole = digits.size();
  for (size_t at = whole; separator && at > every; at -= every) digits.insert(at - every, 1, separator);
  return digits;
}

std::string exponent_form(double number, int precision, char type) {
  std::string text = fmt::format(fmt::runtime(fmt::format("{{:.{}{}}}", precision, type)), number);
  return text;
}

std::string real_digits(double number, const Spec& spec, char type) {
  if (std::isnan(number) || std::isinf(number)) return std::isnan(number) ? "nan" : "inf";
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : std::min<int64_t>(spec.precision, 400));
  if (type == 'f' || type == 'F') return fmt::format("{:.{}f}", number, precision);
  if (type == '%') return fmt::format("{:.{}f}%", number * 100, precision);
  return exponent_form(number, type == 'g' || type == 'G' || type == 'n' ? std::max(1, precision) : precision, type == 'n' ? 'g' : type);
}

std::string sign_of(bool negative, char wanted) { return negative ? "-" : wanted == '-' ? "" : std::string(1, wanted); }

std::string formatted_real(double number, const Spec& spec) {
  const bool negative = std::signbit(number) && !std::isnan(number);
  const double size = std::abs(number);
  std::string digits = spec.type ? real_digits(size, spec, spec.type) : spec.precision >= 0 ? real_digits(size, spec, 'g') : repr(size);
  return pad(sign_of(negative, spec.sign), grouped(std::move(digits), spec.group, 3), spec, '>');
}

std::string formatted_whole(int64_t number, const Spec& spec) {
  if (spec.type && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)
    return formatted_real(static_cast<double>(number), spec);
  if (spec.type == 'c') {
    std::string out;
    append_point(out, number < 0 || number > 0x10FFFF ? 0xFFFD : static_cast<char32_t>(number));
    return pad("", out, spec, '<');
  }
  const uint64_t size = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  std::string digits, prefix;
  switch (spec.type) {
    case 'x':
      digits = fmt::format("{:x}", size), prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", size), prefix = "0X";
      break;
    case 'o':
      digits = fmt::format("{:o}", size), prefix = "0o";
      break;
    case 'b':
      digits = fmt::format("{:b}", size), prefix = "0b";
      break;
    case 0:
    case 'd':
    case 'n':
      digits = std::to_string(size);
      break;
    default:
      throw InputError("'{}' is no format of a whole number", spec.type);
  }
  return pad(sign_of(number < 0, spec.sign) + (spec.alternate ? prefix : ""),
             grouped(std::move(digits), spec.group, prefix.empty() ? 3 : 4), spec, '>');
}

std::string cut(std::string text, int64_t precision) {
  if (precision < 0) return text;
  const auto offsets = point_offsets(text);
  if (static_cast<size_t>(precision) + 1 < offsets.size()) text.resize(offsets[static_cast<size_t>(precision)]);
  return text;
}

std::string formatted(const Value& value, std::string_view text) {
  if (text.empty()) return to_text(value);
  const Spec spec = parse_spec(text);
  if (value.real()) return formatted_real(*value.real(), spec);
  if (value.integer() || (value.boolean() && spec.type))
    return formatted_whole(value.integer() ? *value.integer() : *value.boolean(), spec);
  if (!value.text() && !value.boolean()) throw InputError("a {} takes no format; convert it with |string", type_name(value));
  if (spec.type && spec.type != 's') throw InputError("'{}' is no format of a string", spec.type);
  return pad("", cut(to_text(value), spec.precision), spec, '<');
}

// The next value of "%": from the tuple in order, from the dict by name, or the single value itself.
class PercentValues {
 public:
  explicit PercentValues(const Value& values)
      : values_(values), tuple_(values.list() && values.list()->form == Form::tuple ? values.list() : nullptr) {}

  Value next() {
    if (tuple_ ? next_ >= tuple_->items.size() : next_ > 0) throw InputError("the format has more places than values; count them");
    ++next_;
    return tuple_ ? tuple_->items[next_ - 1] : values_;
  }
  Value named(std::string_view name) const {
    if (!values_.dict()) throw InputError("%({}) needs a dict of values", tessera::quoted(name));
    const Value* found = find(*values_.dict(), name);
    if (!found) throw InputError("the values of a format have no '{}'", tessera::quoted(name));
    return *found;
  }
  void finish() const {
    if (tuple_ ? next_ < tuple_->items.size() : next_ == 0 && !values_.dict() && !values_.list())
      throw InputError("the format has fewer places than values; count them");
  }

 private:
  const Value& values_;
  const List* tuple_;
  size_t next_ = 0;
};

std::string percent_value(const Value& value, Spec spec) {
  const char type = spec.type;
  if (type == 's' || type == 'r' || type == 'a')
    return pad("", cut(type == 's' ? to_text(value) : to_repr(value), spec.precision), spec, '>');
  if (type == 'c')
    return pad("", value.text() ? value.text()->bytes : formatted_whole(whole_number(value, "%c"), {.type = 'c'}), spec, '>');
  if (!value.is_number()) throw InputError("%{} needs a number, not a {}", type, type_name(value));
  if (std::string_view("eEfFgG").find(type) != std::string_view::npos) return formatted_real(as_real(value), spec);
  spec.type = type == 'i' || type == 'u' ? 'd' : type;
  if (std::string_view("dxXo").find(spec.type) == std::string_view::npos)
    throw InputError("%{} is no format; use s, r, d, f, e, g, x, o or c", type);
  const double real = as_real(value);
  if (value.real() && std::abs(real) >= 9.2e18) throw InputError("%{} needs a number of 64 bits", type);
  const int64_t whole = value.integer() ? *value.integer() : static_cast<int64_t>(real);
  if (spec.precision >= 0) {  // %.3d: at least three digits
    Spec digits{.fill = "0", .align = '=', .type = spec.type, .width = spec.precision};
    std::string body = formatted_whole(whole < 0 ? -whole : whole, digits);
    spec.precision = -1;
    return pad(sign_of(whole < 0, spec.sign), body, spec, '>');
  }
  return formatted_whole(whole, spec);
}

}  // namespace

std::string percent_format(const std::string& format, const Value& values) {
  PercentValues given(values);
  std::string out;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at++];
    if (c != '%') {
      out += c;
      continue;
    }
    std::optional<std::string_view> name;
    if (at < format.size() && format[at] == '(') {
      const size_t close = format.find(')', at);
      if (close == std::string::npos) throw InputError("%( has no closing bracket in a format");
      name = std::string_view(format).substr(at + 1, close - at - 1);
      at = close + 1;
    }
    Spec spec;
    bool zero = false;
    for (; at < format.size() && std::string_view("-+ #0").find(format[at]) != std::string_view::npos; ++at) {
      if (format[at] == '-') spec.align = '<';
      if (format[at] == '+' || (format[at] == ' ' && spec.sign != '+')) spec.sign = format[at];
      spec.alternate |= format[at] == '#';
      zero |= format[at] == '0';
    }
    spec.width = read_number(format, at);
    if (at < format.size() && format[at] == '.') spec.precision = read_number(format, ++at);
    if (at >= format.size()) throw InputError("a format ends inside a %; write %% for a percent sign");
    spec.type = format[at++];
    if (spec.type == '%') {
      out += '%';
      continue;
    }
    if (zero && !spec.align && spec.type != 's' && spec.type != 'r') spec.fill = "0", spec.align = '=';
    out += percent_value(name ? given.named(*name) : given.next(), spec);
  }
  given.finish();
  return out;
}

std::string brace_format(Evaluator& evaluator, const std::string& format, const Arguments& arguments) {
  std::string out;
  size_t automatic = 0;
  for (size_t at = 0; at < format.size();) {
    const char c = format[at++];
    if (c != '{' && c != '}') {
      out += c;
      continue;
    }
    if (at < format.size() && format[at] == c) {
      out += format[at++];
      continue;
    }
    const size_t close = c == '{' ? format.find('}', at) : std::string::npos;
    if (close == std::string::npos) throw InputError("a {} stands alone in a format; write it twice", c);
    std::string_view field = std::string_view(format).substr(at, close - at), spec;
    at = close + 1;
    if (field.find('{') != std::string_view::npos) throw InputError("a format holds a field inside a field; write the width out");
    if (const size_t colon = field.find(':'); colon != std::string_view::npos)
      spec = field.substr(colon + 1), field = field.substr(0, colon);
    char conversion = 0;
    if (const size_t mark = field.find('!'); mark != std::string_view::npos) {
      conversion = mark + 1 < field.size() ? field[mark + 1] : 0;
      field = field.substr(0, mark);
    }
    size_t end = std::min(field.find_first_of(".["), field.size());
    const std::string_view name = field.substr(0, end);
    size_t index = 0;
    Value value;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
    if (name.empty() || (read.ec == std::errc() && read.ptr == name.data() + name.size())) {
      if (name.empty()) index = automatic++;
      if (index >= arguments.positional.size()) throw InputError("a format asks for value {} of {}", index, arguments.positional.size());
      value = arguments.positional[index];
    } else {
      const auto found =
          std::find_if(arguments.named.begin(), arguments.named.end(), [&](const auto& entry) { return entry.first == name; });
      if (found == arguments.named.end()) throw InputError("the values of a format have no '{}'", tessera::quoted(name));
      value = found->second;
    }
    while (end < field.size()) {  // .name and [key]
      const bool bracket = field[end] == '[';
      const size_t stop = bracket ? field.find(']', end) : std::min(field.find_first_of(".[", end + 1), field.size());
      if (stop == std::string_view::npos) throw InputError("a [ has no end in a format");
      const std::string_view key = field.substr(end + 1, stop - end - 1);
      const auto number = std::from_chars(key.data(), key.data() + key.size(), index);
      const bool is_number = bracket && !key.empty() && number.ec == std::errc() && number.ptr == key.data() + key.size();
      value =
          bracket ? evaluator.item(value, is_number ? Value(static_cast<int64_t>(index)) : Value(key)) : evaluator.attribute(value, key);
      end = stop + (bracket ? 1 : 0);
    }
    if (conversion) value = Value(conversion == 's' ? to_text(value) : to_repr(value));
    out += formatted(value, spec);
    evaluator.charge(64);
  }
  return out;
}

std::string Evaluator::strftime(const std::string& format) const {
  std::tm now{};
  if (now_) {
    now = *now_;
  } else {
    const std::time_t clock = std::time(nullptr);
    localtime_r(&clock, &now);
  }
  if (format.size() > 4096) throw InputError("the format of strftime_now has {} bytes; at most 4096 are allowed", format.size());
  std::string out(format.size() * 32 + 256, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &now));
  require_utf8(out, "the result of strftime_now");
  return out;
}

}  // namespace tessera::text::jinja
