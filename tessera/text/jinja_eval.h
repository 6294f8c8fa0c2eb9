#pragma once
// Runs a template's tree. One Evaluator is one rendering: it owns scopes, namespaces and macros, and counts steps and bytes.

#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/text/jinja.h"
#include "tessera/text/jinja_ast.h"
#include "tessera/text/jinja_loop.h"
#include "tessera/text/jinja_value.h"

namespace tessera::text::jinja {

// Arguments of a call, a filter or a test.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Names of one block; what it lacks is looked up in the block around it.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string_view, Value>> entries;  // names are views into the tree or into the caller's variables
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

struct Macro {
  const Statement* definition = nullptr;
  ScopePtr closure;
};

enum class Flow : uint8_t { on, loop_break, loop_continue };

class Evaluator {
 public:
  Evaluator(const Limits& limits, std::optional<std::tm> now) : limits_(limits), now_(now) {}

  Rendered render(const Body& body, const std::vector<std::pair<std::string, Value>>& variables);

  // For filters, tests and methods.
  Value call(const Value& callee, Arguments arguments, Position at);
  Value filter(std::string_view name, const Value& input, Arguments arguments);
  bool test(std::string_view name, const Value& value, Arguments arguments);
  // environment.getattr and environment.getitem: undefined when there is no such thing.
  Value attribute(const Value& value, std::string_view name);
  Value item(const Value& value, const Value& key);
  Value arithmetic(std::string_view op, const Value& left, const Value& right);
  bool contains(const Value& inside, const Value& value);
  // Counts work and memory: throws InputError past the limit. `bytes` of new text or about 16 a new list item.
  void charge(size_t bytes);
  // charge(), then the value.
  Value text(std::string bytes, bool safe = false);
  std::string strftime(const std::string& format) const;

 private:
  friend struct Deeper;
  [[noreturn]] void fail(Position at, std::string_view message);

  Flow run(const Body& body, const ScopePtr& scope, std::string& out);
  Flow run_one(const Statement& statement, const ScopePtr& scope, std::string& out);
  Flow run_branch(const Statement& branch, const ScopePtr& scope, std::string& out);
  Flow run_loop(const Statement& statement, const ScopePtr& scope, std::string& out);
  void run_loop_over(const Statement& statement, std::vector<Value> items, int64_t depth0, const ScopePtr& scope, std::string& out);
  std::vector<Value> kept_items(const Statement& statement, std::vector<Value> items, const ScopePtr& scope);
  void run_set(const Statement& set, const ScopePtr& scope);
  void run_call(const Statement& call, const ScopePtr& scope, std::string& out);
  void run_with(const Statement& with, const ScopePtr& scope, std::string& out);
  void run_generation(const Statement& statement, const ScopePtr& scope, std::string& out);
  std::string captured(const Body& body, const ScopePtr& scope);
  void assign(const Expr& target, Value value, const ScopePtr& scope);
  void print(std::string_view text, std::string& out);
  Value new_macro(const Statement& definition, const ScopePtr& scope);

  Value eval(const Expr& expr, const ScopePtr& scope);
  Value eval_inner(const Expr& expr, const ScopePtr& scope);
  Value eval_name(const Expr& expr, const ScopePtr& scope);
  Value eval_items(const Expr& expr, const ScopePtr& scope);
  Value eval_sign(const Expr& expr, const ScopePtr& scope);
  Value eval_dict(const Expr& expr, const ScopePtr& scope);
  Value eval_concat(const Expr& expr, const ScopePtr& scope);
  Value eval_compare(const Expr& expr, const ScopePtr& scope);
  Value eval_slice(const Expr& expr, const ScopePtr& scope);
  Value eval_call(const Expr& expr, const ScopePtr& scope, const Value* caller);
  Value eval_filter(const Expr& expr, const ScopePtr& scope, const Value* input);
  Arguments arguments(const CallArguments& given, const ScopePtr& scope);
  bool compare(std::string_view op, const Value& left, const Value& right);

  Value call_macro(const Macro& macro, Arguments arguments);
  Value call_function(std::string_view name, Arguments arguments);
  Value call_loop(const std::shared_ptr<Loop>& loop, Arguments arguments);
  Value slice(const Value& value, const Value& begin, const Value& end, const Value& step);

  Limits limits_;
  std::optional<std::tm> now_;
  int64_t steps_ = 0;
  int depth_ = 0;
  bool placed_ = false;             // the error on its way already names line and column
  std::vector<std::string*> open_;  // outputs being written, outermost first
  std::vector<std::pair<size_t, size_t>> generated_;
  std::deque<Macro> macros_;
  std::deque<Namespace> namespaces_;
  std::vector<std::pair<std::shared_ptr<Loop>, ScopePtr>> recursive_;  // loops that loop(...) may run again
};

struct Deeper {  // counts how deep the evaluation is
  explicit Deeper(Evaluator& owner);
  ~Deeper() { --evaluator.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  Evaluator& evaluator;
};

// Arguments by parameter name, as Python binds them: the result has one optional a name. Throws InputError for too many or unknown ones.
std::vector<std::optional<Value>> bind(Arguments arguments, std::initializer_list<std::string_view> names, std::string_view callee);
// An int argument; throws InputError naming `what` for anything else.
int64_t whole_number(const Value& value, std::string_view what);
// A str argument.
const std::string& text_argument(const Value& value, std::string_view what);

bool is_method(const Value& self, std::string_view name);
Value call_method(Evaluator& evaluator, const Value& self, std::string_view name, Arguments arguments);
// "..." % values, and "...".format(...).
std::string percent_format(const std::string& format, const Value& values);
std::string brace_format(Evaluator& evaluator, const std::string& format, const Arguments& arguments);
// json.dumps(value, ensure_ascii, indent, separators, sort_keys).
Value to_json(Evaluator& evaluator, const Value& value, Arguments arguments);
// Filters of text; nullopt when `name` is none of them.
std::optional<Value> text_filter(Evaluator& evaluator, std::string_view name, const Value& input, Arguments& arguments);

}  // namespace tessera::text::jinja
