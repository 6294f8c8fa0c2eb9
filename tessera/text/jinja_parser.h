#pragma once
// The two halves of the parser: expressions, and on top of them statements.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/jinja_ast.h"

namespace tessera::text::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

 protected:
  const Token& now() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  Token expect(Token::Kind kind, std::string_view what);
  [[noreturn]] void fail(Position at, std::string_view message) const;
  std::string described(const Token& token) const;

  ExprPtr expression(bool with_condition = true);
  // One expression, or a tuple when commas follow. `end_name`: the word that may follow instead of another item ("in").
  ExprPtr tuple(bool with_condition, std::string_view end_name = {}, bool in_parentheses = false);
  // A name, a tuple of names, or (where allowed) namespace.field.
  ExprPtr target(std::string_view end_name, bool with_field);
  ExprPtr filter_chain(ExprPtr input, bool starts_with_name);
  ExprPtr make(Expr::Kind kind, Position at, std::vector<ExprPtr> items = {}, std::string text = {}) const;

  struct Nested {  // counts how deep the parser is in brackets and blocks
    explicit Nested(ExpressionParser& parser);
    ~Nested() { --parser.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;
    ExpressionParser& parser;
  };
  std::vector<std::set<std::string>> names_;  // read inside each open macro or call block

 private:
  ExprPtr either();
  ExprPtr both();
  ExprPtr invert();
  ExprPtr compare();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter);
  ExprPtr primary();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr number();
  ExprPtr postfix(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr bracket(ExprPtr node);
  ExprPtr filters_and_tests(ExprPtr node);
  ExprPtr test(ExprPtr node);
  ExprPtr target_item(bool with_field);
  ExprPtr call(ExprPtr callee);
  CallArguments arguments();
  ExprPtr finish(ExprPtr node) const;  // sets the depth

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace tessera::text::jinja
