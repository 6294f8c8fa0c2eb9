#pragma once
// A template as a tree. Depth is limited when the tree is built, so that walking it cannot exhaust the stack.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tessera/text/jinja_lexer.h"
#include "tessera/text/jinja_value.h"

namespace tessera::text::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr rest, named_rest;  // *rest and **named_rest; null when absent
};

struct Expr {
  enum class Kind : uint8_t {
    constant,    // value
    name,        // text
    list,        // items
    tuple,       // items
    dict,        // items: key, value, key, value ...
    negate,      // -items[0]
    plus,        // +items[0]
    invert,      // not items[0]
    arithmetic,  // items[0] text items[1]
    concat,      // items joined by ~
    both,        // items[0] and items[1]
    either,      // items[0] or items[1]
    compare,     // items[0] ops[0] items[1] ops[1] items[2] ...
    attribute,   // items[0].text
    item,        // items[0][items[1]]
    slice,       // items[0][items[1]:items[2]:items[3]]; the last three may be null
    call,        // items[0](arguments)
    filter,      // items[0]|text(arguments); items[0] is null inside {% filter %} and {% set | %}
    test,        // items[0] is text(arguments)
    condition,   // items[1] if items[0] else items[2], which may be null
    field        // of an assignment: namespace text, field items[0] (a constant)
  };
  Kind kind = Kind::constant;
  Position at;
  int depth = 1;
  Value value;
  std::string text;
  std::vector<ExprPtr> items;
  std::vector<std::string> ops;
  CallArguments arguments;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Parameter {
  std::string name;
  ExprPtr fallback;  // null: none
};

struct Statement {
  enum class Kind : uint8_t {
    data,        // text
    output,      // {{ value }}
    branch,      // {% if test %} body; otherwise holds elif (one nested branch) or else
    loop,        // {% for target in value if test %} body {% else %} otherwise
    set,         // {% set target = value %}
    set_block,   // {% set target | value %} body; value is a filter chain or null
    macro,       // {% macro text(parameters) %} body
    call,        // {% call(parameters) value %} body
    filter,      // {% filter value %} body
    with,        // {% with targets = values %} body
    generation,  // {% generation %} body
    loop_break,
    loop_continue
  };
  Kind kind = Kind::data;
  Position at;
  std::string text;
  ExprPtr target, value, test;
  Body body, otherwise;
  bool recursive = false;                                               // loop
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;  // macro, call: which of the three its body names
  std::vector<Parameter> parameters;
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments;  // with
};

constexpr int kTreeDepth = 400;    // longest path from a statement's root to a leaf
constexpr int kParserDepth = 150;  // brackets and blocks inside each other

// Throws InputError with line and column.
Body parse(std::string_view source);

}  // namespace tessera::text::jinja
