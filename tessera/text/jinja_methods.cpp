// Methods of str, list and dict. Those that would change a list or a dict are refused, as Transformers' sandbox does.

#include <algorithm>

#include "tessera/text/jinja_eval.h"
#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {
namespace {

using Bound = std::vector<std::optional<Value>>;

constexpr std::string_view kTextMethods[] = {
    "strip",     "lstrip",     "rstrip",  "split",   "rsplit",  "splitlines", "startswith", "endswith",     "upper",       "lower",
    "title",     "replace",    "find",    "rfind",   "index",   "rindex",     "count",      "join",         "format",      "isdigit",
    "isalpha",   "isalnum",    "isspace", "isupper", "islower", "isdecimal",  "isnumeric",  "zfill",        "capitalize",  "casefold",
    "partition", "rpartition", "center",  "ljust",   "rjust",   "swapcase",   "encode",     "removeprefix", "removesuffix"};
constexpr std::string_view kListMethods[] = {"index", "count",  "copy",  "append",  "extend", "insert",
                                             "pop",   "remove", "clear", "reverse", "sort"};
constexpr std::string_view kDictMethods[] = {"get", "items", "keys", "values", "copy", "pop", "update", "setdefault", "popitem", "clear"};

template <size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

std::optional<std::string_view> optional_text(const std::optional<Value>& value, std::string_view what) {
  if (!value || value->is_none()) return std::nullopt;
  return std::string_view(text_argument(*value, what));
}

Value texts(Evaluator& evaluator, const std::vector<std::string_view>& parts, Form form = Form::list) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.emplace_back(part);
  evaluator.charge(items.size() * 64);
  return Value::list(std::move(items), form);
}

Value split(Evaluator& evaluator, const std::string& self, std::string_view name, Arguments arguments) {
  const Bound bound = bind(std::move(arguments), {"sep", "maxsplit"}, name);
  const auto separator = optional_text(bound[0], "the separator of split");
  const int64_t limit = bound[1] ? whole_number(*bound[1], "maxsplit") : -1;
  const bool from_right = name == "rsplit";
  if (!separator) return texts(evaluator, split_space(self, limit, from_right));
  if (separator->empty()) throw InputError("the separator of {} is empty; give one or more characters", name);
  return texts(evaluator, split_at(self, *separator, limit, from_right));
}

// The bytes of self[start:end], and the code point at which they begin; nullopt when start lies behind the end.
std::optional<std::pair<std::string_view, size_t>> window(std::string_view self, const std::optional<Value>& start,
                                                          const std::optional<Value>& end) {
  const auto offsets = point_offsets(self);
  const auto size = static_cast<int64_t>(offsets.size()) - 1;
  const auto place = [&](const std::optional<Value>& value, int64_t fallback) {
    if (!value || value->is_none()) return fallback;
    const int64_t at = whole_number(*value, "a position in a string");
    return at < 0 ? std::max<int64_t>(0, at + size) : at;
  };
  const int64_t from = place(start, 0), to = std::min(place(end, size), size);
  if (from > size || from > to) return std::nullopt;
  const size_t begin = offsets[static_cast<size_t>(from)];
  return std::pair{self.substr(begin, offsets[static_cast<size_t>(to)] - begin), static_cast<size_t>(from)};
}

Value affix(const std::string& self, std::string_view name, Arguments arguments) {
  const Bound bound = bind(std::move(arguments), {"prefix", "start", "end"}, name);
  if (!bound[0]) throw InputError("{} needs a string to compare with", name);
  const auto part = window(self, bound[1], bound[2]);
  const auto holds = [&](const Value& wanted) {
    const std::string& text = text_argument(wanted, "what a string starts or ends with");
    return part && (name == "startswith" ? part->first.starts_with(text) : part->first.ends_with(text));
  };
  const List* any = bound[0]->list();
  return any && any->form == Form::tuple ? std::any_of(any->items.begin(), any->items.end(), holds) : holds(*bound[0]);
}

Value search(const std::string& self, std::string_view name, Arguments arguments) {
  const Bound bound = bind(std::move(arguments), {"sub", "start", "end"}, name);
  if (!bound[0]) throw InputError("{} needs a string to look for", name);
  const std::string& wanted = text_argument(*bound[0], "what is looked for in a string");
  const auto part = window(self, bound[1], bound[2]);
  if (name == "count") {
    if (!part) return 0;
    if (wanted.empty()) return static_cast<int64_t>(length(part->first)) + 1;
    int64_t count = 0;
    for (size_t at = part->first.find(wanted); at != std::string_view::npos; at = part->first.find(wanted, at + wanted.size())) ++count;
    return count;
  }
  const bool from_right = name.starts_with('r');
  const size_t at = !part ? std::string_view::npos : from_right ? part->first.rfind(wanted) : part->first.find(wanted);
  if (at != std::string_view::npos) return static_cast<int64_t>(part->second + length(part->first.substr(0, at)));
  if (name.ends_with("index")) throw InputError("'{}' is not in the string; ask with 'in' first", tessera::quoted(wanted));
  return -1;
}

Value padded(Evaluator& evaluator, const std::string& self, std::string_view name, Arguments arguments) {
  const Bound bound = bind(std::move(arguments), {"width", "fillchar"}, name);
  const int64_t width = bound[0] ? whole_number(*bound[0], "a width") : 0, missing = width - static_cast<int64_t>(length(self));
  const std::string fill = bound[1] ? text_argument(*bound[1], "the fill character") : name == "zfill" ? "0" : " ";
  if (length(fill) != 1) throw InputError("the fill character of {} is one character", name);
  if (missing <= 0) return Value(self);
  if (missing > 1'000'000) throw InputError("{} to {} characters; at most 1000000 are allowed", name, width);
  const auto run = [&](int64_t count) {
    std::string out;
    for (int64_t i = 0; i < count; ++i) out += fill;
    return out;
  };
  if (name == "ljust") return evaluator.text(self + run(missing));
  if (name == "rjust") return evaluator.text(run(missing) + self);
  if (name == "center") {
    const int64_t left = missing / 2 + (missing & width & 1);
    return evaluator.text(run(left) + self + run(missing - left));
  }
  const bool sign = self.starts_with('-') || self.starts_with('+');
  return evaluator.text((sign ? self.substr(0, 1) : "") + run(missing) + self.substr(sign ? 1 : 0));
}

Value parted(const std::string& self, std::string_view name, Arguments arguments) {
  const Bound bound = bind(std::move(arguments), {"sep"}, name);
  if (!bound[0] || text_argument(*bound[0], "the separator of partition").empty()) throw InputError("{} needs a separator", name);
  const std::string& separator = bound[0]->text()->bytes;
  const bool from_right = name == "rpartition";
  const size_t at = from_right ? self.rfind(separator) : self.find(separator);
  if (at == std::string::npos)
    return Value::list(from_right ? std::vector<Value>{"", "", self} : std::vector<Value>{self, "", ""}, Form::tuple);
  return Value::list({self.substr(0, at), separator, self.substr(at + separator.size())}, Form::tuple);
}

std::string swapped(const std::string& self) {
  std::string out;
  for (size_t at = 0; at < self.size();) {
    const size_t from = at;
    next_point(self, at);
    const std::string_view point = std::string_view(self).substr(from, at - from);
    out += all_are(point, Class::upper) ? lower(point) : upper(point);
  }
  return out;
}

std::optional<Value> question(const std::string& self, std::string_view name) {
  constexpr std::pair<std::string_view, Class> questions[] = {
      {"isdigit", Class::digit}, {"isalpha", Class::alpha}, {"isalnum", Class::alnum},     {"isspace", Class::space},
      {"isupper", Class::upper}, {"islower", Class::lower}, {"isdecimal", Class::decimal}, {"isnumeric", Class::numeric}};
  for (const auto& [asked, kind] : questions)
    if (asked == name) return all_are(self, kind);
  return std::nullopt;
}

Value text_method(Evaluator& evaluator, const Text& text, std::string_view name, Arguments arguments) {
  const std::string& self = text.bytes;
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const Bound bound = bind(std::move(arguments), {"chars"}, name);
    const Side side = name == "strip" ? Side::both : name == "lstrip" ? Side::left : Side::right;
    return evaluator.text(std::string(strip(self, side, optional_text(bound[0], "the characters of strip"))));
  }
  if (name == "split" || name == "rsplit") return split(evaluator, self, name, std::move(arguments));
  if (name == "startswith" || name == "endswith") return affix(self, name, std::move(arguments));
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex" || name == "count")
    return search(self, name, std::move(arguments));
  if (name == "zfill" || name == "center" || name == "ljust" || name == "rjust") return padded(evaluator, self, name, std::move(arguments));
  if (name == "partition" || name == "rpartition") return parted(self, name, std::move(arguments));
  if (name == "format") return evaluator.text(brace_format(evaluator, self, arguments));
  if (name == "splitlines") {
    const Bound bound = bind(std::move(arguments), {"keepends"}, name);
    return texts(evaluator, split_lines(self, bound[0] && truth(*bound[0])));
  }
  if (name == "replace") {
    const Bound bound = bind(std::move(arguments), {"old", "new", "count"}, name);
    if (!bound[0] || !bound[1]) throw InputError("replace needs what to look for and what to put there");
    const int64_t limit = bound[2] ? whole_number(*bound[2], "the count of replace") : -1;
    return evaluator.text(
        replace(self, text_argument(*bound[0], "what replace looks for"), text_argument(*bound[1], "what replace puts there"), limit));
  }
  if (name == "join") {
    const Bound bound = bind(std::move(arguments), {"items"}, name);
    std::string out;
    bool first = true;
    for (const Value& item : iterate(bound[0] ? *bound[0] : Value::list({}))) {
      if (!std::exchange(first, false)) out += self;
      out += text_argument(item, "what join joins");
      evaluator.charge(self.size() + item.text()->bytes.size());
    }
    return Value(std::move(out));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const Bound bound = bind(std::move(arguments), {"affix"}, name);
    const std::string& cut = text_argument(bound[0] ? *bound[0] : Value(""), "what is removed");
    if (name == "removeprefix") return evaluator.text(self.starts_with(cut) ? self.substr(cut.size()) : self);
    return evaluator.text(self.ends_with(cut) ? self.substr(0, self.size() - cut.size()) : self);
  }
  if (name == "encode") throw InputError("encode would make bytes, which templates have no use for; remove it");
  if (!arguments.positional.empty() || !arguments.named.empty()) throw InputError("{} takes no arguments", name);
  if (const auto answer = question(self, name)) return *answer;
  if (name == "upper") return evaluator.text(upper(self));
  if (name == "lower") return evaluator.text(lower(self));
  if (name == "title") return evaluator.text(title(self));
  if (name == "capitalize") return evaluator.text(capitalize(self));
  if (name == "casefold") return evaluator.text(casefold(self));
  return evaluator.text(swapped(self));
}

Value dict_method(Evaluator& evaluator, const Value& self, std::string_view name, Arguments arguments) {
  const Dict& dict = *self.dict();
  if (name == "get") {
    const Bound bound = bind(std::move(arguments), {"key", "default"}, name);
    if (!bound[0]) throw InputError("get needs a key");
    if (!bound[0]->text()) evaluator.charge(dict.items.size());
    const Value* found = find(dict, *bound[0]);
    return found ? *found : bound[1] ? *bound[1] : Value(None{});
  }
  bind(std::move(arguments), {}, name);
  if (name == "copy") return self;
  evaluator.charge(dict.items.size() * 32);
  std::vector<Value> items;
  for (const auto& [key, value] : dict.items)
    items.push_back(name == "keys" ? key : name == "values" ? value : Value::list({key, value}, Form::tuple));
  return Value::list(std::move(items), name == "keys" ? Form::keys : name == "values" ? Form::values : Form::items);
}

Value list_method(Evaluator& evaluator, const Value& self, std::string_view name, Arguments arguments) {
  const List& list = *self.list();
  if (name == "copy") return self;
  const Bound bound = bind(std::move(arguments), {"value"}, name);
  evaluator.charge(list.items.size() * 16);
  const Value wanted = bound[0] ? *bound[0] : Value();
  if (name == "count")
    return static_cast<int64_t>(
        std::count_if(list.items.begin(), list.items.end(), [&](const Value& item) { return equal(item, wanted); }));
  const auto found = std::find_if(list.items.begin(), list.items.end(), [&](const Value& item) { return equal(item, wanted); });
  if (found == list.items.end()) throw InputError("the list has no such item; ask with 'in' first");
  return static_cast<int64_t>(found - list.items.begin());
}

}  // namespace

bool is_method(const Value& self, std::string_view name) {
  if (self.text()) return among(kTextMethods, name);
  if (self.dict()) return among(kDictMethods, name);
  if (!self.list()) return false;
  const Form form = self.list()->form;
  return form == Form::list ? among(kListMethods, name)
                            : (form == Form::tuple || form == Form::range) && (name == "index" || name == "count");
}

Value call_method(Evaluator& evaluator, const Value& self, std::string_view name, Arguments arguments) {
  if (self.text()) return text_method(evaluator, *self.text(), name, std::move(arguments));
  const bool reads =
      name == "get" || name == "items" || name == "keys" || name == "values" || name == "copy" || name == "index" || name == "count";
  if (!reads)
    throw InputError("{}() would change a {}, which chat templates may not; make a new one, as in x = x + [y]", name, type_name(self));
  return self.dict() ? dict_method(evaluator, self, name, std::move(arguments)) : list_method(evaluator, self, name, std::move(arguments));
}

}  // namespace tessera::text::jinja
