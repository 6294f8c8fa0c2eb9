#include "tessera/text/jinja_parser.h"

#include <algorithm>
#include <initializer_list>

#include "tessera/base/error.h"

namespace tessera::text::jinja {
namespace {

using Do = Statement::Kind;
using Words = std::initializer_list<std::string_view>;

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body run() { return body({}); }

 private:
  std::unique_ptr<Statement> start(Do kind, Position at) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->at = at;
    return statement;
  }

  // Statements up to a tag that starts with one of `ends` (its word is left to the caller), or to the end of the source.
  Body body(Words ends) {
    const Nested nested(*this);
    const Position begin = now().at;
    Body statements;
    while (now().kind != Token::Kind::end) {
      const Token token = take();
      if (token.kind == Token::Kind::data) {
        statements.push_back(start(Do::data, token.at));
        statements.back()->text = token.text;
      } else if (token.kind == Token::Kind::variable_begin) {
        statements.push_back(start(Do::output, token.at));
        statements.back()->value = tuple(true);
        expect(Token::Kind::variable_end, "}}");
      } else {
        if (now().kind == Token::Kind::name && std::find(ends.begin(), ends.end(), now().text) != ends.end()) return statements;
        statements.push_back(statement());
        expect(Token::Kind::block_end, "%}");
      }
    }
    if (ends.size() > 0) fail(begin, fmt::format("this block has no end; close it with {{% {} %}}", *(ends.end() - 1)));
    return statements;
  }

  // The rest of an opening tag, then its body. `ends`: the last one is the closing word.
  Body block(Words ends) {
    skip_op(":");
    expect(Token::Kind::block_end, "%}");
    return body(ends);
  }

  std::unique_ptr<Statement> statement() {
    const Token word = expect(Token::Kind::name, "a tag's name");
    if (word.text == "if") return branch(word.at);
    if (word.text == "for") return loop(word.at);
    if (word.text == "set") return set(word.at);
    if (word.text == "macro") return macro(word.at);
    if (word.text == "call") return call_block(word.at);
    if (word.text == "filter") return filter_block(word.at);
    if (word.text == "with") return with(word.at);
    if (word.text == "generation") return generation(word.at);
    if (word.text == "break" || word.text == "continue") {
      if (loops_ == 0) fail(word.at, fmt::format("'{}' stands outside a for loop; remove it", word.text));
      return start(word.text == "break" ? Do::loop_break : Do::loop_continue, word.at);
    }
    for (const std::string_view known : {"include", "import", "from", "extends", "block", "do", "autoescape", "trans", "print", "debug"})
      if (word.text == known)
        fail(word.at, fmt::format("{{% {} %}} is not available in chat templates; write the template in one piece", known));
    fail(word.at, fmt::format("unknown tag '{}'; expected if, for, set, macro, call, filter, with, generation, break, continue or raw",
                              tessera::quoted(word.text)));
  }

  std::unique_ptr<Statement> branch(Position at) {
    auto whole = start(Do::branch, at);
    Statement* last = whole.get();
    last->value = tuple(false);
    while (true) {
      last->body = block({"elif", "else", "endif"});
      const Token end = take();
      if (end.text == "endif") return whole;
      if (end.text == "else") {
        last->otherwise = block({"endif"});
        take();
        return whole;
      }
      auto next = start(Do::branch, end.at);
      next->value = tuple(false);
      // elif chains may be long: each link is one statement in `otherwise`, run in a loop and not by recursion
      last->otherwise.push_back(std::move(next));
      last = last->otherwise.back().get();
      if (++links_ > 2000) fail(end.at, "the template has more than 2000 elif; split it");
    }
  }

  std::unique_ptr<Statement> loop(Position at) {
    auto loop = start(Do::loop, at);
    loop->target = target("in", false);
    check_loop_target(*loop->target);
    expect_name("in");
    loop->value = tuple(false, "recursive");
    if (skip_name("if")) loop->test = expression();
    loop->recursive = skip_name("recursive");
    ++loops_;
    loop->body = block({"else", "endfor"});
    --loops_;
    if (take().text == "else") {
      loop->otherwise = block({"endfor"});
      take();
    }
    return loop;
  }

  void check_loop_target(const Expr& target) {
    if (target.text == "loop") fail(target.at, "'loop' names the state of the loop itself; choose another name");
    for (const auto& item : target.items) check_loop_target(*item);
  }

  std::unique_ptr<Statement> set(Position at) {
    auto set = start(Do::set, at);
    set->target = target({}, true);
    if (skip_op("=")) {
      set->value = tuple(true);
      return set;
    }
    set->kind = Do::set_block;
    if (now().is_op("|")) set->value = filter_chain(nullptr, false);
    set->body = block({"endset"});
    take();
    return set;
  }

  void parameters(Statement& owner) {
    expect_op("(");
    while (!now().is_op(")")) {
      if (!owner.parameters.empty()) expect_op(",");
      const Token name = expect(Token::Kind::name, "a parameter's name");
      Parameter parameter{name.text, nullptr};
      if (skip_op("=")) {
        parameter.fallback = expression();
      } else if (!owner.parameters.empty() && owner.parameters.back().fallback) {
        fail(name.at, fmt::format("parameter '{}' needs a default, as the one before it has one", tessera::quoted(name.text)));
      }
      for (const auto& other : owner.parameters)
        if (other.name == name.text) fail(name.at, fmt::format("parameter '{}' is given twice", tessera::quoted(name.text)));
      owner.parameters.push_back(std::move(parameter));
    }
    expect_op(")");
  }

  // A body that is called like a function: its own loops, and a note of the special names it reads.
  Body function_body(Statement& owner, Words ends) {
    const int loops = std::exchange(loops_, 0);
    names_.emplace_back();
    Body statements = block(ends);
    take();
    owner.uses_caller = names_.back().contains("caller");
    owner.uses_varargs = names_.back().contains("varargs");
    owner.uses_kwargs = names_.back().contains("kwargs");
    names_.pop_back();
    loops_ = loops;
    return statements;
  }

  std::unique_ptr<Statement> macro(Position at) {
    auto macro = start(Do::macro, at);
    macro->text = expect(Token::Kind::name, "the macro's name").text;
    parameters(*macro);
    macro->body = function_body(*macro, {"endmacro"});
    return macro;
  }

  std::unique_ptr<Statement> call_block(Position at) {
    auto call = start(Do::call, at);
    call->text = "caller";
    if (now().is_op("(")) parameters(*call);
    call->value = expression();
    if (call->value->kind != Expr::Kind::call) fail(call->value->at, "{% call %} needs a call, as in {% call name() %}");
    call->body = function_body(*call, {"endcall"});
    return call;
  }

  std::unique_ptr<Statement> filter_block(Position at) {
    auto filter = start(Do::filter, at);
    filter->value = filter_chain(nullptr, true);
    filter->body = block({"endfilter"});
    take();
    return filter;
  }

  std::unique_ptr<Statement> with(Position at) {
    auto with = start(Do::with, at);
    while (now().kind != Token::Kind::block_end) {
      if (!with->assignments.empty()) expect_op(",");
      ExprPtr name = target({}, false);
      expect_op("=");
      with->assignments.emplace_back(std::move(name), expression());
    }
    with->body = block({"endwith"});
    take();
    return with;
  }

  std::unique_ptr<Statement> generation(Position at) {
    auto generation = start(Do::generation, at);
    generation->body = function_body(*generation, {"endgeneration"});
    return generation;
  }

  int loops_ = 0;
  int links_ = 0;
};

}  // namespace

Body parse(std::string_view source) { return Parser(tokenize(source)).run(); }

}  // namespace tessera::text::jinja
