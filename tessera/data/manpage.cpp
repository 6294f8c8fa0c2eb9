#include "tessera/data/manpage.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "tessera/data/prose.h"

namespace tessera::data {
namespace {

using Words = std::vector<std::string>;

// Characters that roff writes \(xy or \[xy].
std::string_view special_character(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 30> known = {{{"em", "\xE2\x80\x94"},
                                                                                    {"en", "\xE2\x80\x93"},
                                                                                    {"hy", "-"},
                                                                                    {"mi", "-"},
                                                                                    {"lq", "\xE2\x80\x9C"},
                                                                                    {"rq", "\xE2\x80\x9D"},
                                                                                    {"oq", "\xE2\x80\x98"},
                                                                                    {"cq", "\xE2\x80\x99"},
                                                                                    {"aq", "'"},
                                                                                    {"dq", "\""},
                                                                                    {"bu", "\xE2\x80\xA2"},
                                                                                    {"co", "\xC2\xA9"},
                                                                                    {"rg", "\xC2\xAE"},
                                                                                    {"tm", "\xE2\x84\xA2"},
                                                                                    {"ti", "~"},
                                                                                    {"ha", "^"},
                                                                                    {"rs", "\\"},
                                                                                    {"ga", "`"},
                                                                                    {"aa", "\xC2\xB4"},
                                                                                    {"mu", "\xC3\x97"},
                                                                                    {"+-", "\xC2\xB1"},
                                                                                    {"<=", "\xE2\x89\xA4"},
                                                                                    {">=", "\xE2\x89\xA5"},
                                                                                    {"!=", "\xE2\x89\xA0"},
                                                                                    {"->", "\xE2\x86\x92"},
                                                                                    {"<-", "\xE2\x86\x90"},
                                                                                    {"la", "\xE2\x9F\xA8"},
                                                                                    {"ra", "\xE2\x9F\xA9"},
                                                                                    {":o", "\xC3\xB6"},
                                                                                    {"de", "\xC2\xB0"}}};
  for (const auto& [key, value] : known)
    if (key == name) return value;
  return "";
}

// Reads a name in one of roff's three forms, x, (xy and [xyz], from `at`, and moves past it.
std::string_view escape_name(std::string_view line, size_t& at) {
  size_t begin = at, length = 1;
  if (at < line.size() && line[at] == '(') {
    begin = at + 1;
    length = 2;
    at = begin + length;
  } else if (at < line.size() && line[at] == '[') {
    begin = at + 1;
    length = std::min(line.find(']', begin), line.size()) - begin;
    at = begin + length + 1;
  } else {
    ++at;
  }
  at = std::min(at, line.size());
  return begin < line.size() ? line.substr(begin, length) : std::string_view();
}

// A line's text with its escapes resolved; comments cut off.
std::string resolve_escapes(std::string_view line) {
  std::string out;
  for (size_t at = 0; at < line.size();) {
    if (line[at] != '\\') {
      out += line[at++];
      continue;
    }
    if (++at >= line.size()) break;
    const char c = line[at];
    switch (c) {
      case '"':
      case '#':
        return out;
      case 'f':  // font
      case 'm':  // colour
      case 'F':
      case 'g':
      case 'k':
        ++at;
        escape_name(line, at);
        break;
      case '*': {  // string
        ++at;
        const std::string_view name = escape_name(line, at);
        out += name == "R" ? "\xC2\xAE" : name == "Tm" ? "\xE2\x84\xA2" : special_character(name);
        break;
      }
      case 'n':
        ++at;
        escape_name(line, at);
        break;
      case '(':
      case '[':
        out += special_character(escape_name(line, at));
        break;
      case 's': {  // size: \s-1, \s+1, \s0, \s(12
        ++at;
        if (at < line.size() && (line[at] == '+' || line[at] == '-')) ++at;
        escape_name(line, at);
        break;
      }
      case 'h':
      case 'v':
      case 'w':
      case 'o':
      case 'l':
      case 'z': {  // a quoted argument
        ++at;
        if (at < line.size() && line[at] == '\'') at = std::min(line.find('\'', at + 1), line.size() - 1) + 1;
        break;
      }
      case '-':
      case '.':
      case '\'':
      case '`':
        out += c;
        ++at;
        break;
      case 'e':
      case '\\':
        out += '\\';
        ++at;
        break;
      case ' ':
      case '~':
      case '0':
        out += ' ';
        ++at;
        break;
      default:  // \& \| \^ \/ \, \: \% \c \t \p \d \u: no width
        ++at;
    }
  }
  return out;
}

// The arguments of a macro line: words, or "quoted words" where "" is a quotation mark.
Words arguments(std::string_view line) {
  Words words;
  for (size_t at = 0; at < line.size();) {
    if (line[at] == ' ' || line[at] == '\t') {
      ++at;
      continue;
    }
    std::string word;
    if (line[at] == '"') {
      for (++at; at < line.size(); ++at) {
        if (line[at] == '"' && (at + 1 == line.size() || line[at + 1] != '"')) break;
        if (line[at] == '"') ++at;
        word += line[at];
      }
      ++at;
    } else {
      while (at < line.size() && line[at] != ' ' && line[at] != '\t') {
        if (line[at] == '\\' && at + 1 < line.size()) word += line[at++];
        word += line[at++];
      }
    }
    words.push_back(std::move(word));
  }
  return words;
}

std::string joined(const Words& words, size_t first, const char* between) {
  std::string out;
  for (size_t i = first; i < words.size(); ++i) out += (i > first ? between : "") + resolve_escapes(words[i]);
  return out;
}

class Page {
 public:
  void line(std::string_view raw) {
    if (raw.empty()) return paragraph();
    if (raw[0] == '.' || raw[0] == '\'') return macro(raw.substr(1));
    if (!left_out()) text(resolve_escapes(raw));
  }
  std::string take() {
    paragraph();
    return clean_prose(out_);
  }

 private:
  bool left_out() const { return section_left_out_ || !until_.empty(); }

  void text(std::string_view words) {
    if (words.empty()) return;
    if (!current_.empty() && current_.back() != '\n') current_ += ' ';
    current_ += words;
    if (tag_next_) current_ += '\n';
    tag_next_ = false;
  }
  void paragraph() {
    if (!current_.empty()) out_ += current_ + "\n\n";
    current_.clear();
    tag_next_ = false;
  }
  void heading(const std::string& title) {
    paragraph();
    section_left_out_ = title == "SYNOPSIS" || title == "COLOPHON";
    if (!section_left_out_ && !title.empty()) out_ += title + "\n\n";
  }

  void macro(std::string_view raw) {
    size_t begin = 0;
    while (begin < raw.size() && (raw[begin] == ' ' || raw[begin] == '\t')) ++begin;
    size_t end = begin;
    while (end < raw.size() && raw[end] != ' ' && raw[end] != '\t') ++end;
    const std::string_view name = raw.substr(begin, end - begin);
    if (name.starts_with("\\\"")) return;
    if (!until_.empty()) {
      if (name == until_) until_ = {};
      return;
    }
    if (skip_to_end(name)) return;
    const Words words = arguments(raw.substr(end));
    if (name == "SH" || name == "Sh" || name == "SS" || name == "Ss") return heading(joined(words, 0, " "));
    if (section_left_out_) return;
    if (man_macro(name, words)) return;
    mdoc_macro(name, words);
  }

  // Blocks that are no prose: examples, tables, equations, pictures, macro definitions.
  bool skip_to_end(std::string_view name) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 8> blocks = {
        {{"EX", "EE"}, {"nf", "fi"}, {"TS", "TE"}, {"EQ", "EN"}, {"PS", "PE"}, {"de", "."}, {"ig", "."}, {"Bd", "Ed"}}};
    for (const auto& [first, last] : blocks)
      if (name == first) {
        paragraph();
        until_ = last;
        return true;
      }
    return false;
  }

  bool man_macro(std::string_view name, const Words& words) {
    if (name == "PP" || name == "P" || name == "LP" || name == "Pp" || name == "HP" || name == "RS" || name == "RE" || name == "sp") {
      paragraph();
    } else if (name == "TP" || name == "TQ") {
      if (name == "TP") paragraph();
      tag_next_ = true;
    } else if (name == "IP") {
      paragraph();
      const std::string tag = words.empty() ? "" : resolve_escapes(words[0]);
      const bool bullet = tag == "\xE2\x80\xA2" || tag == "*" || tag == "o" || tag == "-";
      if (!tag.empty()) current_ = bullet ? "-" : tag + "\n";
    } else if (name == "B" || name == "I" || name == "SM" || name == "SB" || name == "R") {
      text(joined(words, 0, " "));
    } else if (name == "BR" || name == "RB" || name == "BI" || name == "IB" || name == "IR" || name == "RI" || name == "MR") {
      text(name == "MR" && words.size() >= 2 ? words[0] + "(" + words[1] + ")" + joined(words, 2, "") : joined(words, 0, ""));
    } else if (name == "UR" || name == "MT") {
      if (!words.empty()) text(resolve_escapes(words[0]));
    } else if (name == "br") {
      if (!current_.empty() && current_.back() != '\n') current_ += '\n';
    } else {
      return name == "TH" || name == "UE" || name == "ME" || name == "fi" || name == "EE" || name == "ft" || name == "ad" || name == "na";
    }
    return true;
  }

  void mdoc_macro(std::string_view name, const Words& words) {
    if (name == "Nm" || name == "Fl" || name == "Ar" || name == "Pa" || name == "Xr" || name == "Em" || name == "Li" || name == "Ev" ||
        name == "Dv" || name == "Va" || name == "Fn" || name == "Ic" || name == "Cm" || name == "Sy" || name == "Dq" || name == "Ql" ||
        name == "Tn" || name == "Vt" || name == "Er" || name == "Sq" || name == "Ux" || name == "Bx" || name == "Fx" || name == "Nx") {
      inline_mdoc(name, words);
    } else if (name == "Nd") {
      text("- " + joined(words, 0, " "));
    } else if (name == "It") {
      paragraph();
      text(joined(words, 0, " "));
      if (!words.empty()) current_ += '\n';
    } else if (name == "Bl" || name == "El") {
      paragraph();
    }
  }

  // A word in its font; punctuation that follows as arguments of its own is joined to it.
  void inline_mdoc(std::string_view name, const Words& words) {
    std::string out = name == "Ux" ? "Unix" : name == "Bx" ? "BSD" : name == "Fx" ? "FreeBSD" : name == "Nx" ? "NetBSD" : "";
    if (name == "Nm" && words.empty()) out = page_name_;
    if (name == "Nm" && page_name_.empty() && !words.empty()) page_name_ = resolve_escapes(words[0]);
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string word = resolve_escapes(words[i]);
      const bool mark = word.size() == 1 && std::ispunct(static_cast<unsigned char>(word[0])) && word != "(" && word != "-";
      if (name == "Xr" && i == 1 && !mark) {
        out += "(" + word + ")";
        continue;
      }
      if (!out.empty() && !mark) out += ' ';
      out += (name == "Fl" && !mark ? "-" : "") + word;
    }
    if (name == "Dq" && !out.empty()) out = "\"" + out + "\"";
    text(out);
  }

  std::string out_, current_, page_name_;
  std::string_view until_;  // the macro that ends the block being left out
  bool section_left_out_ = false, tag_next_ = false;
};

}  // namespace

std::string manpage_to_prose(std::string_view roff) {
  const std::string utf8 = to_utf8(roff);
  Page page;
  for (size_t at = 0; at < utf8.size();) {
    size_t end = std::min(utf8.find('\n', at), utf8.size());
    std::string line = utf8.substr(at, end - at);
    at = end + 1;
    if (line.starts_with(".so ")) return "";
    // A comment, or a line that a lone backslash continues.
    while (line.ends_with('\\') && !line.ends_with("\\\\") && at < utf8.size()) {
      line.pop_back();
      end = std::min(utf8.find('\n', at), utf8.size());
      line += utf8.substr(at, end - at);
      at = end + 1;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    page.line(line);
  }
  return page.take();
}

}  // namespace tessera::data
