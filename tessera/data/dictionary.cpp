#include "tessera/data/dictionary.h"

#include <algorithm>
#include <cctype>

#include "tessera/data/prose.h"

namespace tessera::data {
namespace {

// Calls `take` with every line of `text`, without its line end.
template <class Take>
void each_line(std::string_view text, const Take& take) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    take(line);
    at = end + 1;
  }
}

// Appends a line as an old terminal showed it and returns its width in columns: tabs go to multiples of 8, and of overstruck letters
// (letter, backspace, letter) the last one stands.
size_t append_line(std::string_view line, std::string& out) {
  size_t width = 0;
  for (const char c : line) {
    if (c == '\b') {
      if (!out.empty() && out.back() != '\n') out.pop_back();
      width -= width > 0;
      continue;
    }
    width = c == '\t' ? (width / 8 + 1) * 8 : width + ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U);
    out += c;
  }
  return width;
}

// Where a sense begins: "n 1: ", "adj : ", "2: "; the length of that mark, or 0.
size_t sense_mark(std::string_view line) {
  size_t at = 0;
  for (const std::string_view part : {"n", "v", "adj", "adv"})
    if (line.starts_with(std::string(part) + " ")) at = part.size() + 1;
  const size_t digits = at;
  while (at < line.size() && std::isdigit(static_cast<unsigned char>(line[at]))) ++at;
  if (at == digits && digits == 0) return 0;
  return at < line.size() && line[at] == ':' ? at + 1 : 0;
}

// Without "[syn: ...]", "[ant: ...]" and the like at the end of a sense, and without braces.
std::string bare_gloss(std::string_view sense) {
  std::string out;
  for (size_t at = 0; at < sense.size();) {
    if (sense[at] == '[' &&
        (sense.substr(at).starts_with("[syn:") || sense.substr(at).starts_with("[ant:") || sense.substr(at).starts_with("[also:"))) {
      at = std::min(sense.find(']', at), sense.size() - 1) + 1;
      continue;
    }
    if (sense[at] != '{' && sense[at] != '}') out += sense[at];
    ++at;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace

std::vector<std::string> fortunes(std::string_view file) {
  const std::string utf8 = to_utf8(file);
  std::vector<std::string> all;
  std::string current;
  size_t last_width = 0;  // columns of the line above; a full one was wrapped, a short one is verse or the end of a paragraph
  const auto close = [&] {
    std::string text = clean_prose(current);
    if (!text.empty()) all.push_back(std::move(text));
    current.clear();
    last_width = 0;
  };
  each_line(utf8, [&](std::string_view line) {
    if (line == "%") return close();
    if (line.find_first_not_of(" \t") == std::string_view::npos) {
      last_width = 0;
      current += "\n\n";
      return;
    }
    if (!current.empty() && current.back() != '\n') {
      const std::string_view words = line.substr(line.find_first_not_of(" \t"));
      const bool own_line = words.starts_with("--") || words.starts_with('(') || words.starts_with("* ") || words.starts_with("- ");
      current += last_width >= 58 && !own_line ? ' ' : '\n';
    }
    last_width = append_line(line, current);
  });
  close();
  return all;
}

std::vector<Document> dictd_glosses(std::string_view file) {
  const std::string utf8 = to_utf8(file);
  std::vector<Document> all;
  std::string word, sense, glosses;
  const auto close_sense = [&] {
    const std::string gloss = bare_gloss(sense);
    if (!gloss.empty()) glosses += (glosses.empty() ? "" : "\n") + word + ": " + gloss;
    sense.clear();
  };
  const auto close_word = [&] {
    close_sense();
    if (!glosses.empty()) all.push_back({word, clean_prose(glosses)});
    glosses.clear();
  };
  bool editorial = true;  // the licence stands before the first entry
  each_line(utf8, [&](std::string_view line) {
    if (line.empty()) return;
    if (line[0] != ' ') {
      close_word();
      word = std::string(line);
      editorial = line.starts_with("00-database") || line.find("  ") != std::string_view::npos;
      return;
    }
    if (editorial) return;
    while (line.starts_with(' ')) line.remove_prefix(1);
    if (const size_t mark = sense_mark(line)) {
      close_sense();
      line.remove_prefix(mark);
      while (line.starts_with(' ')) line.remove_prefix(1);
    } else if (!sense.empty()) {
      sense += ' ';
    }
    sense += line;
  });
  close_word();
  return all;
}

}  // namespace tessera::data
