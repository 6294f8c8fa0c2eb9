#include "tessera/data/html.h"

#include <gumbo.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/data/prose.h"

namespace tessera::data {
namespace {

constexpr int deepest_nesting = 2000;        // browsers stop at 512; the walk below uses the stack
constexpr size_t most_unclosed = 20'000;     // what the parser's own recursion stands on the stack of a thread
constexpr size_t most_repeated = 8'000'000;  // elements that the parser may add for unclosed <b>, <i> ...: it opens them anew in each block

bool one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

[[noreturn]] void refuse_nesting() {
  throw InputError("the page nests more than {} elements; give a page that a browser can show", deepest_nesting);
}

// Elements that end by themselves when their like begins, and those that have no inside. Inside a drawing the words of tables do nest.
bool may_stay_open(std::string_view tag, bool drawing) {
  if (one_of(tag, {"p", "li", "dt", "dd", "br", "hr", "img", "meta", "embed"})) return true;
  return !drawing && one_of(tag, {"tr", "td", "th", "tbody", "thead", "tfoot", "colgroup", "input", "link", "area", "base", "col", "source",
                                  "track", "wbr", "param"});
}

// Elements that stay in force until their own end tag, whatever is closed around them.
bool formats(std::string_view tag) {
  return one_of(tag, {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"});
}

// Bounds from above how deep the parser will nest: an end tag counts only where it ends the element opened last, so that whatever rule
// the parser has for the others, it cannot nest deeper than this.
class Nesting {
 public:
  void open(const std::string& tag) {
    repeated_ += formatting_;
    if (repeated_ > most_repeated) refuse_nesting();
    drawing_ = drawing_ || tag == "svg" || tag == "math";
    if (may_stay_open(tag, drawing_)) return;
    if (tag == "a" && links_ > 0) return;  // a second link ends the first
    open_.push_back(tag);
    links_ += tag == "a";
    formatting_ += formats(tag);
    if (open_.size() > most_unclosed) refuse_nesting();
  }
  void close(const std::string& tag) {
    if (open_.empty() || open_.back() != tag) return;
    links_ -= tag == "a";
    formatting_ -= formats(tag);
    open_.pop_back();
  }

 private:
  std::vector<std::string> open_;
  bool drawing_ = false;
  size_t links_ = 0, formatting_ = 0, repeated_ = 0;
};

// Refuses pages that would nest deeper than the parser can stand, by their tags alone: the parser's own tree is never built.
void check_tags(std::string_view html) {
  Nesting nesting;
  for (size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    const bool closes = at + 1 < html.size() && html[at + 1] == '/';
    const size_t begin = at + 1 + closes;
    size_t end = begin;
    while (end < html.size() && std::isalnum(static_cast<unsigned char>(html[end]))) ++end;
    std::string tag(html.substr(begin, end - begin));
    for (char& c : tag) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (tag.empty()) continue;
    closes ? nesting.close(tag) : nesting.open(tag);
  }
}

// The next node of a walk through the tree that uses no stack: the first child, else the next sibling of the nearest element that has one.
const GumboNode* next_node(const GumboNode* node, int& depth) {
  const auto children = [](const GumboNode* parent) -> const GumboVector& {
    return parent->type == GUMBO_NODE_DOCUMENT ? parent->v.document.children : parent->v.element.children;
  };
  if ((node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE) && node->v.element.children.length > 0) {
    ++depth;
    return static_cast<const GumboNode*>(node->v.element.children.data[0]);
  }
  for (; node->parent != nullptr; node = node->parent, --depth) {
    const GumboVector& siblings = children(node->parent);
    if (node->index_within_parent + 1 < siblings.length) return static_cast<const GumboNode*>(siblings.data[node->index_within_parent + 1]);
  }
  return nullptr;
}

void check_depth(const GumboNode* root) {
  int depth = 1;
  for (const GumboNode* node = root; node != nullptr; node = next_node(node, depth))
    if (depth > deepest_nesting) refuse_nesting();
}

std::string_view attribute(const GumboElement& element, const char* name) {
  const GumboAttribute* found = gumbo_get_attribute(&element.attributes, name);
  return found ? std::string_view(found->value) : std::string_view();
}

// True when one of the space-separated words of `list` is `word`.
bool has_word(std::string_view list, std::initializer_list<std::string_view> words) {
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find_first_of(" \t\n\r\f", at), list.size());
    if (end > at && one_of(list.substr(at, end - at), words)) return true;
    at = end + 1;
  }
  return false;
}

// Furniture by the names that documentation tools give it: DocBook, Publican, Sphinx, Drupal, Doxygen, Texinfo.
bool is_furniture(const GumboElement& element) {
  if (has_word(attribute(element, "class"),
               {"navheader",  "navfooter",       "docnav",          "book-navigation",  "page-links", "toc",           "toctree-wrapper",
                "contents",   "list-of-tables",  "list-of-figures", "list-of-examples", "indexterm",  "headerlink",    "sphinxsidebar",
                "related",    "footer",          "breadcrumb",      "breadcrumbs",      "navigation", "nav",           "menu",
                "mobile-nav", "sidebar-wrapper", "skip-link",       "searchbox",        "pagination", "cookie-banner", "Footnote-back",
                "fn-backref", "lineno",          "linenos",         "copybutton"}))
    return true;
  if (has_word(attribute(element, "id"), {"banner", "footer", "sidebar", "searchbox", "toc", "navigation", "sidebarbutton"})) return true;
  if (one_of(attribute(element, "role"), {"navigation", "search", "banner", "contentinfo", "menu", "complementary"})) return true;
  if (attribute(element, "aria-hidden") == "true" || gumbo_get_attribute(&element.attributes, "hidden")) return true;
  const std::string_view style = attribute(element, "style");
  return style.find("display:none") != std::string_view::npos || style.find("display: none") != std::string_view::npos;
}

bool is_skipped(const GumboElement& element) {
  switch (element.tag) {
    case GUMBO_TAG_HEAD:
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
    case GUMBO_TAG_NOSCRIPT:
    case GUMBO_TAG_TEMPLATE:
    case GUMBO_TAG_NAV:
    case GUMBO_TAG_HEADER:
    case GUMBO_TAG_FOOTER:
    case GUMBO_TAG_FORM:
    case GUMBO_TAG_BUTTON:
    case GUMBO_TAG_SELECT:
    case GUMBO_TAG_TEXTAREA:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_MATH:
    case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_CANVAS:
      return true;
    default:
      return is_furniture(element);
  }
}

// Text of a subtree: how much there is, how much of it inside links, and how many links.
struct Amounts {
  size_t text = 0, linked = 0, links = 0, blocks = 0;
};

// The amounts of every element of a page, each counted once however deep lists nest.
class Measures {
 public:
  explicit Measures(const GumboNode* root) { measure(root); }
  const Amounts& of(const GumboNode* node) const { return amounts_.at(node); }

 private:
  Amounts measure(const GumboNode* node) {
    Amounts amounts;
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA)
      for (const char* c = node->v.text.text; *c; ++c)
        amounts.text += !std::isspace(static_cast<unsigned char>(*c)) && !std::isdigit(static_cast<unsigned char>(*c)) && *c != '.';
    if (node->type != GUMBO_NODE_ELEMENT) return amounts;
    const GumboElement& element = node->v.element;
    for (unsigned i = 0; i < element.children.length; ++i) {
      const Amounts inner = measure(static_cast<const GumboNode*>(element.children.data[i]));
      amounts.text += inner.text;
      amounts.linked += inner.linked;
      amounts.links += inner.links;
      amounts.blocks += inner.blocks;
    }
    if (element.tag == GUMBO_TAG_A && gumbo_get_attribute(&element.attributes, "href")) {
      ++amounts.links;
      amounts.linked = amounts.text;
    }
    amounts.blocks +=
        element.tag == GUMBO_TAG_P || element.tag == GUMBO_TAG_DIV || (element.tag >= GUMBO_TAG_H1 && element.tag <= GUMBO_TAG_H6);
    return amounts_[node] = amounts;
  }

  std::unordered_map<const GumboNode*, Amounts> amounts_;
};

// A list, table or heading that is (nearly) nothing but links: a table of contents or a way onward.
bool is_link_list(const GumboNode* node, const Amounts& amounts) {
  switch (node->v.element.tag) {
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_P:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4: {
      const bool list =
          node->v.element.tag == GUMBO_TAG_UL || node->v.element.tag == GUMBO_TAG_OL || node->v.element.tag == GUMBO_TAG_TABLE;
      return amounts.links >= (list ? 1U : 3U) && amounts.linked * 10 >= amounts.text * 9;
    }
    default:
      return false;
  }
}

// A table that lays out a page: a cell holds blocks of text. Data tables hold words and numbers.
bool is_layout_table(const Amounts& amounts) { return amounts.blocks >= 2 && amounts.text >= 60 * amounts.blocks; }

bool is_block(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_P:
    case GUMBO_TAG_DIV:
    case GUMBO_TAG_SECTION:
    case GUMBO_TAG_ARTICLE:
    case GUMBO_TAG_ASIDE:
    case GUMBO_TAG_MAIN:
    case GUMBO_TAG_BLOCKQUOTE:
    case GUMBO_TAG_H1:
    case GUMBO_TAG_H2:
    case GUMBO_TAG_H3:
    case GUMBO_TAG_H4:
    case GUMBO_TAG_H5:
    case GUMBO_TAG_H6:
    case GUMBO_TAG_UL:
    case GUMBO_TAG_OL:
    case GUMBO_TAG_DL:
    case GUMBO_TAG_TABLE:
    case GUMBO_TAG_PRE:
    case GUMBO_TAG_FIGURE:
    case GUMBO_TAG_FIGCAPTION:
    case GUMBO_TAG_ADDRESS:
    case GUMBO_TAG_CENTER:
    case GUMBO_TAG_FIELDSET:
    case GUMBO_TAG_DETAILS:
    case GUMBO_TAG_SUMMARY:
    case GUMBO_TAG_HR:
    case GUMBO_TAG_CAPTION:
      return true;
    default:
      return false;
  }
}

// Writes text with white space collapsed and the breaks between blocks.
class ProseWriter {
 public:
  // A break before the next text: 1 a line end, 2 an empty line. Breaks add up to the largest.
  void line_break(int lines) {
    if (!after_mark_) break_ = std::max(break_, lines);
    space_ = false;
  }
  // A list mark: the item's first text follows on the same line.
  void mark(std::string_view text) {
    flush();
    out_ += text;
    after_mark_ = true;
    space_ = false;
  }
  void text(std::string_view text) {
    for (const char c : text) {
      if (std::isspace(static_cast<unsigned char>(c))) {
        space_ = true;
        continue;
      }
      flush();
      out_ += c;
    }
  }
  // Text with its own line ends and spaces.
  void verbatim(std::string_view text) {
    while (text.starts_with('\n')) text.remove_prefix(1);
    if (text.empty()) return;
    flush();
    out_ += text;
  }
  std::string take() { return std::move(out_); }

 private:
  void flush() {
    if (break_ > 0 && !out_.empty()) out_.append(static_cast<size_t>(break_), '\n');
    if (break_ == 0 && space_ && !out_.empty() && out_.back() != '\n' && !after_mark_) out_ += ' ';
    break_ = 0;
    space_ = after_mark_ = false;
  }

  std::string out_;
  int break_ = 0;
  bool space_ = false, after_mark_ = false;
};

void all_text(const GumboNode* node, std::string& out) {
  if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE || node->type == GUMBO_NODE_CDATA) out += node->v.text.text;
  if (node->type != GUMBO_NODE_ELEMENT || is_skipped(node->v.element)) return;
  if (node->v.element.tag == GUMBO_TAG_BR) out += '\n';
  for (unsigned i = 0; i < node->v.element.children.length; ++i)
    all_text(static_cast<const GumboNode*>(node->v.element.children.data[i]), out);
}

class Walk {
 public:
  Walk(const GumboNode* root, const ProseOptions& options) : options_(options), measures_(root) {}

  void node(const GumboNode* node) {
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE || node->type == GUMBO_NODE_CDATA)
      out_.text(node->v.text.text);
    if (node->type == GUMBO_NODE_ELEMENT) element(node);
  }
  std::string take() { return out_.take(); }

 private:
  void children(const GumboNode* node) {
    const GumboVector& all = node->v.element.children;
    for (unsigned i = 0; i < all.length; ++i) this->node(static_cast<const GumboNode*>(all.data[i]));
  }

  void element(const GumboNode* node) {
    const GumboElement& element = node->v.element;
    if (is_skipped(element) || is_link_list(node, measures_.of(node))) return;
    const int lines = is_block(element.tag) ? 2 : 1;
    switch (element.tag) {
      case GUMBO_TAG_BR:
        return out_.line_break(1);
      case GUMBO_TAG_PRE:
        return code(node);
      case GUMBO_TAG_TABLE:
        return table(node);
      case GUMBO_TAG_UL:
      case GUMBO_TAG_OL:
        return list(node);
      case GUMBO_TAG_LI:
        return item(node);
      case GUMBO_TAG_DT:
      case GUMBO_TAG_DD:
      case GUMBO_TAG_TR:
      case GUMBO_TAG_TD:
      case GUMBO_TAG_TH:
        break;
      default:
        if (lines == 1) return children(node);
    }
    out_.line_break(lines);
    children(node);
    out_.line_break(lines);
  }

  void code(const GumboNode* node) {
    out_.line_break(2);
    if (options_.code_blocks == Keep::yes) {
      std::string text;
      all_text(node, text);
      out_.verbatim(text);
    }
    out_.line_break(2);
  }

  void list(const GumboNode* node) {
    const int saved = number_;
    number_ = node->v.element.tag == GUMBO_TAG_OL ? 1 : 0;
    ++depth_;
    out_.line_break(depth_ > 1 ? 1 : 2);
    children(node);
    out_.line_break(depth_ > 1 ? 1 : 2);
    --depth_;
    number_ = saved;
  }

  void item(const GumboNode* node) {
    if (measures_.of(node).text == 0) return;
    out_.line_break(1);
    out_.mark(number_ ? std::to_string(number_++) + ". " : "- ");
    children(node);
    out_.line_break(1);
  }

  void table(const GumboNode* node) {
    out_.line_break(2);
    if (is_layout_table(measures_.of(node))) {
      children(node);
    } else if (options_.tables == Keep::yes) {
      rows(node);
    }
    out_.line_break(2);
  }

  void rows(const GumboNode* node) {
    if (node->type != GUMBO_NODE_ELEMENT) return;
    const GumboVector& all = node->v.element.children;
    if (node->v.element.tag != GUMBO_TAG_TR) {
      for (unsigned i = 0; i < all.length; ++i) rows(static_cast<const GumboNode*>(all.data[i]));
      return;
    }
    bool first = true;
    for (unsigned i = 0; i < all.length; ++i) {
      const auto* cell = static_cast<const GumboNode*>(all.data[i]);
      if (cell->type != GUMBO_NODE_ELEMENT) continue;
      if (!first) out_.text(" | ");
      std::string text;
      all_text(cell, text);
      out_.text(text);
      first = false;
    }
    out_.line_break(1);
  }

  const ProseOptions& options_;
  Measures measures_;
  ProseWriter out_;
  int number_ = 0, depth_ = 0;
};

}  // namespace

std::string html_to_prose(std::string_view html, const ProseOptions& options) {
  const std::string utf8 = to_utf8(html);
  check_tags(utf8);
  const auto destroy = [](GumboOutput* output) { gumbo_destroy_output(&kGumboDefaultOptions, output); };
  GumboOptions settings = kGumboDefaultOptions;
  settings.max_errors = 0;
  const std::unique_ptr<GumboOutput, decltype(destroy)> page(gumbo_parse_with_options(&settings, utf8.data(), utf8.size()), destroy);
  check_depth(page->root);
  Walk walk(page->root, options);
  walk.node(page->root);
  return clean_prose(walk.take());
}

}  // namespace tessera::data
