// |tojson as Transformers defines it: Python's json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False).

#include <algorithm>
#include <cmath>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

struct JsonStyle {
  bool ascii = false, sorted = false, broken = false;  // broken: over several lines
  std::string indent, comma = ", ", colon = ": ";
};

void write_string(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    const char32_t c = next_point(text, at);
    constexpr std::string_view plain = "\"\\\n\r\t\f\b", letter = "\"\\nrtfb";
    if (const size_t i = c < 0x80 ? plain.find(static_cast<char>(c)) : std::string_view::npos; i != std::string_view::npos) {
      out += {'\\', letter[i]};
    } else if (c < 0x20 || (ascii && c > 0x7E && c < 0x10000)) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else if (ascii && c >= 0x10000) {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
    } else {
      out += text.substr(from, at - from);
    }
  }
  out += '"';
}

std::string real_text(double number) {
  if (std::isnan(number)) return "NaN";
  return std::isinf(number) ? (number > 0 ? "Infinity" : "-Infinity") : repr(number);
}

std::string scalar_text(const Value& value) {
  if (value.is_none()) return "null";
  if (value.boolean()) return *value.boolean() ? "true" : "false";
  if (value.real()) return real_text(*value.real());
  return to_repr(value);
}

class Writer {
 public:
  Writer(Evaluator& evaluator, JsonStyle style) : evaluator_(evaluator), style_(std::move(style)) {}

  std::string out;

  void write(const Value& value, int level) {
    evaluator_.charge(0);
    if (value.text()) return write_string(out, value.text()->bytes, style_.ascii);
    if (value.dict()) return write_dict(*value.dict(), level);
    if (value.list() && value.list()->form <= Form::tuple) return write_list(*value.list(), level);
    if (!value.is_none() && !value.is_number()) {
      const bool missing = value.undefined() && value.undefined()->why;
      throw InputError("tojson cannot write a {}{}{}", type_name(value), missing ? ": " : "", missing ? *value.undefined()->why : "");
    }
    out += scalar_text(value);
  }

 private:
  void new_line(int level) {
    if (!style_.broken) return;
    evaluator_.charge(style_.indent.size() * static_cast<size_t>(level));
    out += '\n';
    for (int i = 0; i < level; ++i) out += style_.indent;
  }

  void write_list(const List& list, int level) {
    if (list.items.empty()) return void(out += "[]");
    out += '[';
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out += style_.comma;
      new_line(level + 1);
      write(list.items[i], level + 1);
    }
    new_line(level);
    out += ']';
  }

  void write_dict(const Dict& dict, int level) {
    if (dict.items.empty()) return void(out += "{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.items) entries.push_back(&entry);
    if (style_.sorted)
      std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) { return less(a->first, b->first); });
    out += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += style_.comma;
      new_line(level + 1);
      const Value& key = entries[i]->first;
      if (key.list()) throw InputError("tojson cannot write a tuple as a key; use strings");
      write_string(out, key.text() ? key.text()->bytes : scalar_text(key), style_.ascii);
      out += style_.colon;
      write(entries[i]->second, level + 1);
    }
    new_line(level);
    out += '}';
  }

  Evaluator& evaluator_;
  JsonStyle style_;
};

}  // namespace

Value to_json(Evaluator& evaluator, const Value& value, Arguments arguments) {
  const auto bound = bind(std::move(arguments), {"ensure_ascii", "indent", "separators", "sort_keys"}, "tojson");
  JsonStyle style;
  style.ascii = bound[0] && truth(*bound[0]);
  style.sorted = bound[3] && truth(*bound[3]);
  if (bound[1] && !bound[1]->is_none()) {
    style.broken = true;
    style.comma = ",";
    if (bound[1]->text()) {
      style.indent = bound[1]->text()->bytes;
    } else {
      style.indent.assign(static_cast<size_t>(std::clamp<int64_t>(whole_number(*bound[1], "indent of tojson"), 0, 1000)), ' ');
    }
  }
  if (bound[2] && !bound[2]->is_none()) {
    const std::vector<Value> pair = iterate(*bound[2]);
    if (pair.size() != 2) throw InputError("separators of tojson are two strings, not {}", pair.size());
    style.comma = text_argument(pair[0], "a separator of tojson");
    style.colon = text_argument(pair[1], "a separator of tojson");
  }
  Writer writer(evaluator, std::move(style));
  writer.write(value, 0);
  return evaluator.text(std::move(writer.out));
}

}  // namespace tessera::text::jinja
