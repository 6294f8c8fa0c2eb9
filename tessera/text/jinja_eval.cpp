#include "tessera/text/jinja_eval.h"

#include <algorithm>

#include "tessera/text/jinja_text.h"

namespace tessera::text::jinja {

constexpr int kEvaluationDepth = 1000;

Deeper::Deeper(Evaluator& owner) : evaluator(owner) {
  if (++owner.depth_ > kEvaluationDepth) {
    --owner.depth_;
    throw InputError("calls and expressions lie more than {} deep in each other; look for a macro that calls itself", kEvaluationDepth);
  }
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope; scope = scope->parent.get())
    for (const auto& [key, value] : scope->entries)
      if (key == name) return &value;
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [key, old] : entries)
    if (key == name) return void(old = std::move(value));
  entries.emplace_back(name, std::move(value));
}

static ScopePtr scope_in(const ScopePtr& parent) {
  auto scope = std::make_shared<Scope>();
  scope->parent = parent;
  return scope;
}

void Evaluator::fail(Position at, std::string_view message) {
  placed_ = true;
  throw InputError("{}: {}", to_string(at), message);
}

void Evaluator::charge(size_t bytes) {
  steps_ += 1 + static_cast<int64_t>(bytes / 64);
  if (steps_ > limits_.steps) throw InputError("the template needs more than {} steps; look for a loop that grows", limits_.steps);
}

Value Evaluator::text(std::string bytes, bool safe) {
  charge(bytes.size());
  return Value(std::move(bytes), safe);
}

Rendered Evaluator::render(const Body& body, const std::vector<std::pair<std::string, Value>>& variables) {
  auto globals = std::make_shared<Scope>();
  for (const char* name : {"range", "dict", "namespace", "raise_exception", "strftime_now"})
    globals->set(name, Value(Callable{name, nullptr, nullptr}));
  for (const auto& [name, value] : variables) globals->set(name, value);
  Rendered rendered;
  open_ = {&rendered.text};
  run(body, scope_in(globals), rendered.text);
  rendered.generated = std::move(generated_);
  return rendered;
}

void Evaluator::print(std::string_view text, std::string& out) {
  size_t written = text.size();
  for (const std::string* open : open_) written += open->size();
  if (written > limits_.output_bytes)
    throw InputError("the template writes more than {} bytes; look for a loop that grows", limits_.output_bytes);
  charge(text.size());
  out += text;
}

Flow Evaluator::run(const Body& body, const ScopePtr& scope, std::string& out) {
  for (const auto& statement : body) {
    charge(0);
    Flow flow = Flow::on;
    try {
      flow = run_one(*statement, scope, out);
    } catch (const InputError& error) {
      if (placed_) throw;
      fail(statement->at, error.what());
    }
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

Flow Evaluator::run_one(const Statement& statement, const ScopePtr& scope, std::string& out) {
  const Deeper deeper(*this);
  using Do = Statement::Kind;
  switch (statement.kind) {
    case Do::data:
      print(statement.text, out);
      break;
    case Do::output:
      print(to_text(eval(*statement.value, scope)), out);
      break;
    case Do::branch:
      return run_branch(statement, scope, out);
    case Do::loop:
      return run_loop(statement, scope, out);
    case Do::set:
      assign(*statement.target, eval(*statement.value, scope), scope);
      break;
    case Do::set_block:
      run_set(statement, scope);
      break;
    case Do::macro:
      scope->set(statement.text, new_macro(statement, scope));
      break;
    case Do::call:
      run_call(statement, scope, out);
      break;
    case Do::filter: {
      const Value body = text(captured(statement.body, scope_in(scope)));
      print(to_text(eval_filter(*statement.value, scope, &body)), out);
      break;
    }
    case Do::with:
      run_with(statement, scope, out);
      break;
    case Do::generation:
      run_generation(statement, scope, out);
      break;
    case Do::loop_break:
      return Flow::loop_break;
    case Do::loop_continue:
      return Flow::loop_continue;
  }
  return Flow::on;
}

Flow Evaluator::run_branch(const Statement& branch, const ScopePtr& scope, std::string& out) {
  const Statement* now = &branch;
  while (true) {
    if (truth(eval(*now->value, scope))) return run(now->body, scope, out);
    if (now->otherwise.size() != 1 || now->otherwise[0]->kind != Statement::Kind::branch) return run(now->otherwise, scope, out);
    now = now->otherwise[0].get();
    charge(0);
  }
}

std::vector<Value> Evaluator::kept_items(const Statement& statement, std::vector<Value> items, const ScopePtr& scope) {
  charge(items.size() * 16);
  if (!statement.test) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    charge(0);
    const ScopePtr inner = scope_in(scope);
    assign(*statement.target, item, inner);
    if (truth(eval(*statement.test, inner))) kept.push_back(std::move(item));
  }
  return kept;
}

Flow Evaluator::run_loop(const Statement& statement, const ScopePtr& scope, std::string& out) {
  run_loop_over(statement, kept_items(statement, iterate(eval(*statement.value, scope)), scope), 0, scope, out);
  return Flow::on;
}

void Evaluator::run_loop_over(const Statement& statement, std::vector<Value> items, int64_t depth0, const ScopePtr& scope,
                              std::string& out) {
  const auto loop = std::make_shared<Loop>();
  loop->items = std::move(items);
  loop->depth0 = depth0;
  if (statement.recursive) {
    loop->statement = &statement;
    recursive_.emplace_back(loop, scope);
  }
  struct Ending {  // a loop kept in a namespace outlives its statement; nothing it holds may lead back to it
    ~Ending() {
      if (loop->statement) recursive.pop_back();
      loop->statement = nullptr;
      loop->last_changed.reset();
    }
    const std::shared_ptr<Loop>& loop;
    decltype(recursive_)& recursive;
  } const ending{loop, recursive_};
  bool completed = false;  // some pass reached the end of the body: jinja2 runs `else` when none did
  for (loop->index0 = 0; loop->index0 < static_cast<int64_t>(loop->items.size()); ++loop->index0) {
    charge(0);
    const ScopePtr inner = scope_in(scope);
    assign(*statement.target, loop->items[static_cast<size_t>(loop->index0)], inner);
    inner->set("loop", Value(loop));
    const Flow flow = run(statement.body, inner, out);
    if (flow == Flow::loop_break) break;
    completed |= flow == Flow::on;
  }
  if (!completed) run(statement.otherwise, scope_in(scope), out);
}

std::string Evaluator::captured(const Body& body, const ScopePtr& scope) {
  std::string out;
  open_.push_back(&out);
  struct Closing {
    ~Closing() { open.pop_back(); }
    std::vector<std::string*>& open;
  } const closing{open_};
  run(body, scope, out);
  return out;
}

void Evaluator::run_set(const Statement& set, const ScopePtr& scope) {
  Value value = text(captured(set.body, scope_in(scope)));
  if (set.value) value = eval_filter(*set.value, scope, &value);
  assign(*set.target, std::move(value), scope);
}

Value Evaluator::new_macro(const Statement& definition, const ScopePtr& scope) {
  macros_.push_back({&definition, scope});
  return Value(Callable{definition.text, nullptr, &macros_.back()});
}

void Evaluator::run_call(const Statement& call, const ScopePtr& scope, std::string& out) {
  const Value caller = new_macro(call, scope);
  print(to_text(eval_call(*call.value, scope, &caller)), out);
}

void Evaluator::run_with(const Statement& with, const ScopePtr& scope, std::string& out) {
  const ScopePtr inner = scope_in(scope);
  for (const auto& [target, value] : with.assignments) assign(*target, eval(*value, scope), inner);
  run(with.body, inner, out);
}

void Evaluator::run_generation(const Statement& statement, const ScopePtr& scope, std::string& out) {
  size_t begin = 0;
  for (const std::string* open : open_) begin += open->size();
  const std::string written = captured(statement.body, scope_in(scope));
  print(written, out);
  generated_.emplace_back(begin, begin + written.size());
}

void Evaluator::assign(const Expr& target, Value value, const ScopePtr& scope) {
  if (target.kind == Expr::Kind::name) return scope->set(target.text, std::move(value));
  if (target.kind == Expr::Kind::field) {
    const Value* held = scope->find(target.text);
    if (!held || !held->scope())
      fail(target.at, fmt::format("'{}' is no namespace; make one with {{% set {} = namespace() %}}", target.text, target.text));
    return held->scope()->set(target.items[0]->value.text()->bytes, std::move(value));
  }
  std::vector<Value> parts = iterate(value);
  if (parts.size() != target.items.size())
    fail(target.at, fmt::format("{} values are unpacked into {} names", parts.size(), target.items.size()));
  for (size_t i = 0; i < parts.size(); ++i) assign(*target.items[i], std::move(parts[i]), scope);
}

}  // namespace tessera::text::jinja
