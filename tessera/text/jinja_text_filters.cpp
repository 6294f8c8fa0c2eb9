// Filters of text.

#include <algorithm>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

using Bound = std::vector<std::optional<Value>>;

std::string joined(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"d", "attribute"}, "join");
  const std::string between = bound[0] ? to_text(*bound[0]) : "";
  std::string out;
  bool first = true;
  for (const Value& item : iterate(input)) {
    if (!std::exchange(first, false)) out += between;
    const size_t before = out.size();
    if (bound[1] && !bound[1]->is_none()) {
      Value part = item;
      for (const std::string_view name : split_at(text_argument(*bound[1], "the attribute of join"), ".", -1, false))
        part = evaluator.item(part, Value(name));
      out += to_text(part);
    } else {
      out += to_text(item);
    }
    evaluator.charge(out.size() - before + between.size());
  }
  return out;
}

std::string indented(Evaluator& evaluator, const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"width", "first", "blank"}, "indent");
  std::string indent(4, ' ');
  if (bound[0] && bound[0]->text()) indent = bound[0]->text()->bytes;
  if (bound[0] && !bound[0]->text())
    indent.assign(static_cast<size_t>(std::clamp<int64_t>(whole_number(*bound[0], "the width of indent"), 0, 10'000)), ' ');
  const bool first = bound[1] && truth(*bound[1]), blank = bound[2] && truth(*bound[2]);
  const std::string source = to_text(input) + "\n";  // jinja2 adds the newline so that there is always a line
  std::string out = first ? indent : "";
  const auto lines = split_lines(source, false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indent;
    evaluator.charge(lines[i].size() + indent.size());
    out += lines[i];
  }
  return out;
}

std::string truncated(const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"length", "killwords", "end", "leeway"}, "truncate");
  const int64_t limit = bound[0] ? whole_number(*bound[0], "the length of truncate") : 255;
  const std::string end = bound[2] ? text_argument(*bound[2], "the end of truncate") : "...";
  const int64_t leeway = bound[3] && !bound[3]->is_none() ? whole_number(*bound[3], "the leeway of truncate") : 5;
  std::string source = to_text(input);
  const auto offsets = point_offsets(source);
  const auto size = static_cast<int64_t>(offsets.size()) - 1, end_size = static_cast<int64_t>(length(end));
  if (limit < end_size || leeway < 0) throw InputError("truncate to {} characters leaves no room for its end of {}", limit, end_size);
  if (size - limit <= leeway) return source;  // written so that no sum can overflow
  std::string kept = source.substr(0, offsets[static_cast<size_t>(limit - end_size)]);
  if (!(bound[1] && truth(*bound[1]))) {
    const size_t blank = kept.rfind(' ');
    if (blank != std::string::npos) kept.resize(blank);
  }
  return kept + end;
}

std::string centered(Evaluator& evaluator, const std::string& source, int64_t width) {
  const auto missing = width - static_cast<int64_t>(length(source));
  if (missing <= 0) return source;
  evaluator.charge(static_cast<size_t>(missing));
  if (missing > 1'000'000) throw InputError("center to {} characters; at most 1000000 are allowed", width);
  const int64_t left = missing / 2 + (missing & width & 1);
  return std::string(static_cast<size_t>(left), ' ') + source + std::string(static_cast<size_t>(missing - left), ' ');
}

int64_t words(std::string_view text) {
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const bool word = is_word(next_point(text, at));
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return count;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~/").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string without_tags(const std::string& source) {
  std::string out;
  for (size_t at = 0; at < source.size();) {
    const size_t open = source.find('<', at);
    const bool comment = open != std::string::npos && source.compare(open, 4, "<!--") == 0;
    const size_t close = open == std::string::npos ? open : source.find(comment ? "-->" : ">", open);
    if (close == std::string::npos) {
      out += source.substr(at);
      break;
    }
    out += source.substr(at, open - at);
    at = close + (comment ? 3 : 1);
  }
  std::string spaced;
  for (const std::string_view word : split_space(out, -1, false)) (spaced += spaced.empty() ? "" : " ") += word;
  return spaced;
}

std::string xml_attributes(const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"autospace"}, "xmlattr");
  if (!input.dict()) throw InputError("xmlattr needs a dict, not a {}", type_name(input));
  std::string out;
  for (const auto& [key, value] : input.dict()->items) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string name = to_text(key);
    if (name.find_first_of(" \t\n\f\r/>=") != std::string::npos)
      throw InputError("'{}' cannot be the name of an attribute", tessera::quoted(name));
    if (!out.empty()) out += ' ';
    out += escape_html(name) + "=\"" + escape_html(to_text(value)) + '"';
  }
  return (!out.empty() && (!bound[0] || truth(*bound[0])) ? " " : "") + out;
}

std::string replaced(const Value& input, Arguments& arguments) {
  const Bound bound = bind(std::move(arguments), {"old", "new", "count"}, "replace");
  if (!bound[0] || !bound[1]) throw InputError("replace needs what to look for and what to put there");
  const int64_t count = bound[2] && !bound[2]->is_none() ? whole_number(*bound[2], "the count of replace") : -1;
  return replace(to_text(input), to_text(*bound[0]), to_text(*bound[1]), count);
}

}  // namespace

std::optional<Value> text_filter(Evaluator& evaluator, std::string_view name, const Value& input, Arguments& arguments) {
  if (name == "trim") {
    const Bound bound = bind(std::move(arguments), {"chars"}, name);
    std::optional<std::string_view> set;
    if (bound[0] && !bound[0]->is_none()) set = text_argument(*bound[0], "the characters of trim");
    const std::string source = to_text(input);
    return evaluator.text(std::string(strip(source, Side::both, set)));
  }
  if (name == "strip") throw InputError("there is no filter 'strip'; write |trim or .strip()");
  if (name == "upper") return evaluator.text(upper(to_text(input)));
  if (name == "lower") return evaluator.text(lower(to_text(input)));
  if (name == "title") return evaluator.text(title_words(to_text(input)));
  if (name == "capitalize") return evaluator.text(capitalize(to_text(input)));
  if (name == "string") return input.text() ? input : evaluator.text(to_text(input));
  if (name == "safe") return evaluator.text(to_text(input), true);
  if (name == "escape" || name == "e")
    return input.text() && input.text()->safe ? input : evaluator.text(escape_html(to_text(input)), true);
  if (name == "forceescape") return evaluator.text(escape_html(to_text(input)), true);
  if (name == "join") return evaluator.text(joined(evaluator, input, arguments));
  if (name == "replace") return evaluator.text(replaced(input, arguments));
  if (name == "indent") return evaluator.text(indented(evaluator, input, arguments));
  if (name == "truncate") return evaluator.text(truncated(input, arguments));
  if (name == "center") {
    const Bound bound = bind(std::move(arguments), {"width"}, name);
    return evaluator.text(centered(evaluator, to_text(input), bound[0] ? whole_number(*bound[0], "the width of center") : 80));
  }
  if (name == "wordcount") return words(to_text(input));
  if (name == "striptags") return evaluator.text(without_tags(to_text(input)));
  if (name == "xmlattr") return evaluator.text(xml_attributes(input, arguments));
  if (name == "urlencode" && input.text()) return evaluator.text(percent_encoded(input.text()->bytes));
  if (name == "format") {
    if (!arguments.named.empty() && !arguments.positional.empty()) throw InputError("format takes values or names, not both");
    std::vector<std::pair<Value, Value>> names;
    for (auto& [key, value] : arguments.named) names.emplace_back(Value(key), std::move(value));
    const Value values = names.empty() ? Value::list(std::move(arguments.positional), Form::tuple) : Value::dict(std::move(names));
    return evaluator.text(percent_format(to_text(input), values));
  }
  return std::nullopt;
}

}  // namespace tessera::text::jinja
