#include <algorithm>
#include <charconv>

#include "tessera/base/error.h"
#include "tessera/text/jinja_parser.h"

namespace tessera::text::jinja {

using ExprKind = Expr::Kind;
using TokenKind = Token::Kind;

template <class... Items>
static std::vector<ExprPtr> list_of(Items... items) {
  std::vector<ExprPtr> all;
  (all.push_back(std::move(items)), ...);
  return all;
}

ExpressionParser::Nested::Nested(ExpressionParser& owner) : parser(owner) {
  if (++parser.depth_ > kParserDepth)
    parser.fail(parser.now().at, fmt::format("brackets and blocks lie more than {} deep in each other", kParserDepth));
}

void ExpressionParser::fail(Position at, std::string_view message) const { throw InputError("{}: {}", to_string(at), message); }

std::string ExpressionParser::described(const Token& token) const {
  switch (token.kind) {
    case TokenKind::end:
      return "the end of the template";
    case TokenKind::block_end:
      return "%}";
    case TokenKind::variable_end:
      return "}}";
    case TokenKind::string:
      return "a string";
    default:
      return fmt::format("'{}'", tessera::quoted(token.text));
  }
}

bool ExpressionParser::skip_op(std::string_view op) { return now().is_op(op) && (take(), true); }
bool ExpressionParser::skip_name(std::string_view name) { return now().is_name(name) && (take(), true); }

void ExpressionParser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail(now().at, fmt::format("expected '{}', got {}", op, described(now())));
}

void ExpressionParser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail(now().at, fmt::format("expected '{}', got {}", name, described(now())));
}

Token ExpressionParser::expect(TokenKind kind, std::string_view what) {
  if (now().kind != kind) fail(now().at, fmt::format("expected {}, got {}", what, described(now())));
  return take();
}

ExprPtr ExpressionParser::finish(ExprPtr node) const {
  const auto see = [&](const ExprPtr& child) {
    if (child) node->depth = std::max(node->depth, child->depth + 1);
  };
  for (const auto& item : node->items) see(item);
  for (const auto& item : node->arguments.positional) see(item);
  for (const auto& item : node->arguments.named) see(item.second);
  see(node->arguments.rest);
  see(node->arguments.named_rest);
  if (node->depth > kTreeDepth)
    fail(node->at, fmt::format("an expression has more than {} steps in a row; split it with {{% set %}}", kTreeDepth));
  return node;
}

ExprPtr ExpressionParser::make(ExprKind kind, Position at, std::vector<ExprPtr> items, std::string text) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->at = at;
  node->items = std::move(items);
  node->text = std::move(text);
  return finish(std::move(node));
}

ExprPtr ExpressionParser::expression(bool with_condition) {
  const Nested nested(*this);
  const Position at = now().at;
  ExprPtr value = either();
  while (with_condition && skip_name("if")) {
    ExprPtr test = either();
    ExprPtr otherwise = skip_name("else") ? expression() : nullptr;
    value = make(ExprKind::condition, at, list_of(std::move(test), std::move(value), std::move(otherwise)));
  }
  return value;
}

ExprPtr ExpressionParser::tuple(bool with_condition, std::string_view end_name, bool in_parentheses) {
  const Position at = now().at;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_op(",");
    const bool at_end = now().kind == TokenKind::block_end || now().kind == TokenKind::variable_end || now().is_op(")") ||
                        (!end_name.empty() && now().is_name(end_name));
    if (at_end) break;
    items.push_back(expression(with_condition));
    if (!now().is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && !in_parentheses) fail(at, fmt::format("expected an expression, got {}", described(now())));
  return make(ExprKind::tuple, at, std::move(items));
}

ExprPtr ExpressionParser::target_item(bool with_field) {
  const Nested nested(*this);
  if (skip_op("(")) {
    ExprPtr inner = target({}, with_field);
    expect_op(")");
    return inner;
  }
  const Token name = expect(TokenKind::name, "a name to assign to");
  for (const std::string_view word : {"true", "false", "none", "True", "False", "None"})
    if (name.text == word) fail(name.at, fmt::format("'{}' cannot be assigned to; choose another name", word));
  if (with_field && skip_op(".")) {
    auto field = make(ExprKind::constant, now().at);
    field->value = Value(expect(TokenKind::name, "a field's name").text);
    return make(ExprKind::field, name.at, list_of(std::move(field)), name.text);
  }
  return make(ExprKind::name, name.at, {}, name.text);
}

ExprPtr ExpressionParser::target(std::string_view end_name, bool with_field) {
  const Position at = now().at;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  do {
    if (!items.empty()) {
      is_tuple = true;
      if (now().is_op("=") || now().is_op(")") || now().kind == TokenKind::block_end || (!end_name.empty() && now().is_name(end_name)))
        break;
    }
    items.push_back(target_item(with_field));
  } while (skip_op(","));
  return is_tuple ? make(ExprKind::tuple, at, std::move(items)) : std::move(items[0]);
}

ExprPtr ExpressionParser::either() {
  ExprPtr left = both();
  for (Position at = now().at; skip_name("or"); at = now().at) {
    ExprPtr right = both();
    left = make(ExprKind::either, at, list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::both() {
  ExprPtr left = invert();
  for (Position at = now().at; skip_name("and"); at = now().at) {
    ExprPtr right = invert();
    left = make(ExprKind::both, at, list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::invert() {
  const Position at = now().at;
  if (!skip_name("not")) return compare();
  const Nested nested(*this);
  return make(ExprKind::invert, at, list_of(invert()));
}

ExprPtr ExpressionParser::compare() {
  const Position at = now().at;
  std::vector<ExprPtr> items = list_of(sum());
  std::vector<std::string> ops;
  while (true) {
    if (now().kind == TokenKind::op &&
        (now().text == "==" || now().text == "!=" || now().text == "<" || now().text == "<=" || now().text == ">" || now().text == ">=")) {
      ops.push_back(take().text);
    } else if (skip_name("in")) {
      ops.emplace_back("in");
    } else if (now().is_name("not") && look().is_name("in")) {
      take(), take();
      ops.emplace_back("not in");
    } else {
      break;
    }
    items.push_back(sum());
  }
  if (ops.empty()) return std::move(items[0]);
  ExprPtr node = make(ExprKind::compare, at, std::move(items));
  node->ops = std::move(ops);
  return node;
}

ExprPtr ExpressionParser::sum() {
  ExprPtr left = concat();
  while (now().is_op("+") || now().is_op("-")) {
    const Token op = take();
    ExprPtr right = concat();
    left = make(ExprKind::arithmetic, op.at, list_of(std::move(left), std::move(right)), op.text);
  }
  return left;
}

ExprPtr ExpressionParser::concat() {
  const Position at = now().at;
  std::vector<ExprPtr> items = list_of(product());
  while (skip_op("~")) items.push_back(product());
  return items.size() == 1 ? std::move(items[0]) : make(ExprKind::concat, at, std::move(items));
}

ExprPtr ExpressionParser::product() {
  ExprPtr left = power();
  while (now().is_op("*") || now().is_op("/") || now().is_op("//") || now().is_op("%")) {
    const Token op = take();
    ExprPtr right = power();
    left = make(ExprKind::arithmetic, op.at, list_of(std::move(left), std::move(right)), op.text);
  }
  return left;
}

ExprPtr ExpressionParser::power() {
  ExprPtr left = unary(true);
  while (now().is_op("**")) {
    const Token op = take();
    ExprPtr right = unary(true);
    left = make(ExprKind::arithmetic, op.at, list_of(std::move(left), std::move(right)), op.text);
  }
  return left;
}

ExprPtr ExpressionParser::unary(bool with_filter) {
  const Nested nested(*this);
  const Position at = now().at;
  ExprPtr node;
  if (skip_op("-")) {
    node = make(ExprKind::negate, at, list_of(unary(false)));
  } else if (skip_op("+")) {
    node = make(ExprKind::plus, at, list_of(unary(false)));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr ExpressionParser::number() {
  const Token token = take();
  ExprPtr node = make(ExprKind::constant, token.at);
  if (token.kind == TokenKind::real) {
    double real = 0;
    std::from_chars(token.text.data(), token.text.data() + token.text.size(), real);
    node->value = Value(real);
    return node;
  }
  std::string_view digits = token.text;
  const char mark = digits.size() > 1 ? static_cast<char>(digits[1] | 0x20) : ' ';
  const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
  if (base != 10) digits.remove_prefix(2);
  int64_t whole = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), whole, base);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size())
    fail(token.at, fmt::format("{} is no integer of 64 bits", tessera::quoted(token.text)));
  node->value = Value(whole);
  return node;
}

ExprPtr ExpressionParser::primary() {
  const Token token = now();
  if (token.kind == TokenKind::integer || token.kind == TokenKind::real) return number();
  if (token.is_op("[")) return list();
  if (token.is_op("{")) return dict();
  if (skip_op("(")) {
    ExprPtr inner = tuple(true, {}, true);
    expect_op(")");
    return inner;
  }
  ExprPtr node = make(ExprKind::constant, token.at);
  if (token.kind == TokenKind::string) {
    std::string text;
    while (now().kind == TokenKind::string) text += take().text;
    node->value = Value(std::move(text));
    return node;
  }
  if (token.kind != TokenKind::name) fail(token.at, fmt::format("expected an expression, got {}", described(token)));
  take();
  if (token.text == "true" || token.text == "True" || token.text == "false" || token.text == "False") {
    node->value = Value(token.text == "true" || token.text == "True");
  } else if (token.text == "none" || token.text == "None") {
    node->value = None{};
  } else {
    node->kind = ExprKind::name;
    node->text = token.text;
    for (auto& names : names_) names.insert(token.text);
  }
  return node;
}

ExprPtr ExpressionParser::list() {
  const Position at = take().at;
  std::vector<ExprPtr> items;
  while (!now().is_op("]")) {
    if (!items.empty()) expect_op(",");
    if (now().is_op("]")) break;
    items.push_back(expression());
  }
  expect_op("]");
  return make(ExprKind::list, at, std::move(items));
}

ExprPtr ExpressionParser::dict() {
  const Position at = take().at;
  std::vector<ExprPtr> items;
  while (!now().is_op("}")) {
    if (!items.empty()) expect_op(",");
    if (now().is_op("}")) break;
    items.push_back(expression());
    expect_op(":");
    items.push_back(expression());
  }
  expect_op("}");
  return make(ExprKind::dict, at, std::move(items));
}

ExprPtr ExpressionParser::postfix(ExprPtr node) {
  while (true) {
    if (now().is_op(".") || now().is_op("[")) {
      node = subscript(std::move(node));
    } else if (now().is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr ExpressionParser::filters_and_tests(ExprPtr node) {
  while (true) {
    if (now().is_op("|")) {
      node = filter_chain(std::move(node), false);
    } else if (now().is_name("is")) {
      node = test(std::move(node));
    } else if (now().is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr node) {
  if (now().is_op("[")) return bracket(std::move(node));
  const Position at = take().at;
  if (now().kind == TokenKind::integer) {
    ExprPtr index = number();
    return make(ExprKind::item, at, list_of(std::move(node), std::move(index)));
  }
  return make(ExprKind::attribute, at, list_of(std::move(node)), expect(TokenKind::name, "a field's name").text);
}

ExprPtr ExpressionParser::bracket(ExprPtr node) {
  const Position at = take().at;
  const auto part = [&]() -> ExprPtr { return now().is_op(":") || now().is_op("]") ? nullptr : expression(); };
  ExprPtr begin = part();
  if (!now().is_op(":")) {
    if (!begin) fail(at, "expected an index inside [ ]");
    if (now().is_op(",")) fail(now().at, "an index has one part; write [a][b]");
    expect_op("]");
    return make(ExprKind::item, at, list_of(std::move(node), std::move(begin)));
  }
  take();
  ExprPtr end = part();
  ExprPtr step = skip_op(":") ? part() : nullptr;
  expect_op("]");
  return make(ExprKind::slice, at, list_of(std::move(node), std::move(begin), std::move(end), std::move(step)));
}

CallArguments ExpressionParser::arguments() {
  CallArguments all;
  expect_op("(");
  for (bool first = true; !now().is_op(")"); first = false) {
    if (!first) expect_op(",");
    if (now().is_op(")")) break;
    const Position at = now().at;
    if (skip_op("*")) {
      if (all.rest || all.named_rest) fail(at, "a call takes one *list, before **dict");
      all.rest = expression();
    } else if (skip_op("**")) {
      if (all.named_rest) fail(at, "a call takes one **dict");
      all.named_rest = expression();
    } else if (now().kind == TokenKind::name && look().is_op("=")) {
      std::string name = take().text;
      take();
      all.named.emplace_back(std::move(name), expression());
    } else {
      if (!all.named.empty() || all.rest || all.named_rest)
        fail(at, "an argument without a name stands behind one with a name; move it forward");
      all.positional.push_back(expression());
    }
  }
  expect_op(")");
  return all;
}

ExprPtr ExpressionParser::call(ExprPtr callee) {
  const Position at = now().at;
  ExprPtr node = make(ExprKind::call, at, list_of(std::move(callee)));
  node->arguments = arguments();
  return finish(std::move(node));
}

ExprPtr ExpressionParser::filter_chain(ExprPtr input, bool starts_with_name) {
  while (starts_with_name || skip_op("|")) {
    starts_with_name = false;
    const Token name = expect(TokenKind::name, "a filter's name");
    input = make(ExprKind::filter, name.at, list_of(std::move(input)), name.text);
    if (now().is_op("(")) input->arguments = arguments();
    input = finish(std::move(input));
  }
  return input;
}

ExprPtr ExpressionParser::test(ExprPtr node) {
  const Position at = take().at;
  const bool negated = skip_name("not");
  const Token name = expect(TokenKind::name, "a test's name");
  node = make(ExprKind::test, at, list_of(std::move(node)), name.text);
  const bool operand = (now().kind == TokenKind::name && !now().is_name("else") && !now().is_name("or") && !now().is_name("and")) ||
                       now().kind == TokenKind::string || now().kind == TokenKind::integer || now().kind == TokenKind::real ||
                       now().is_op("[") || now().is_op("{");
  if (now().is_op("(")) {
    node->arguments = arguments();
  } else if (operand) {
    if (now().is_name("is")) fail(now().at, "tests cannot follow each other with 'is'; join them with 'and'");
    node->arguments.positional.push_back(postfix(primary()));
  }
  node = finish(std::move(node));
  return negated ? make(ExprKind::invert, at, list_of(std::move(node))) : std::move(node);
}

}  // namespace tessera::text::jinja
