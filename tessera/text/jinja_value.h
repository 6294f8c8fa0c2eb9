#pragma once
// The values of a template: Python's None, bool, int, float, str, list, tuple, dict and friends, printed and compared as Python does.
// Lists and dicts never change once made; nesting is limited, so that nothing a template builds can exhaust the stack.

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace tessera::text::jinja {

class Value;
struct Macro;
struct Loop;

struct Undefined {
  std::shared_ptr<const std::string> why;  // "'name' is undefined"; null: no more to say
};
struct None {};
struct Text {
  std::string bytes;
  bool safe = false;  // made by |safe or |escape: what is added to it is escaped
};

// What an ordered collection was in Python: how it prints, and what it refuses.
enum class Form : uint8_t { list, tuple, range, keys, values, items, generator };

struct List {
  std::vector<Value> items;
  Form form = Form::list;
  int depth = 1;              // 1 + the deepest item's
  bool group = false;         // a pair of groupby: also has .grouper and .list
  mutable bool used = false;  // a generator gives its items once
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;         // in order of insertion
  std::unordered_map<std::string, size_t> positions;  // of the keys that are strings
  int depth = 1;
};

struct Namespace;  // owned by the render, so that cycles are harmless

// A function, a macro, or a method bound to its object.
struct Callable {
  std::string name;
  std::shared_ptr<const Value> self;  // of a method; null for others
  const Macro* macro = nullptr;
};

class Value {
 public:
  using Storage = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>, std::shared_ptr<const List>,
                               std::shared_ptr<const Dict>, Namespace*, std::shared_ptr<const Callable>, std::shared_ptr<Loop>>;

  Value() = default;  // undefined
  Value(None) : held_(None{}) {}
  Value(bool value) : held_(value) {}
  Value(int64_t value) : held_(value) {}
  Value(int value) : held_(static_cast<int64_t>(value)) {}
  Value(double value) : held_(value) {}
  Value(std::string text, bool safe = false) : held_(std::make_shared<const Text>(Text{std::move(text), safe})) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(Namespace* scope) : held_(scope) {}
  Value(std::shared_ptr<Loop> loop) : held_(std::move(loop)) {}
  explicit Value(Callable callable) : held_(std::make_shared<const Callable>(std::move(callable))) {}

  static Value undefined(std::string why) {
    Value value;
    value.held_ = Undefined{std::make_shared<const std::string>(std::move(why))};
    return value;
  }
  // Throws InputError when the nesting passes kDeepest.
  static Value list(std::vector<Value> items, Form form = Form::list, bool group = false);
  // Later entries of an equal key replace the value and keep the place, as in Python.
  static Value dict(std::vector<std::pair<Value, Value>> items);
  // Objects keep their order. Throws InputError on an integer that is no int64 and on deep nesting.
  static Value from_json(const nlohmann::ordered_json& json);

  bool is_undefined() const { return std::holds_alternative<Undefined>(held_); }
  bool is_none() const { return std::holds_alternative<None>(held_); }
  bool is_text() const { return text() != nullptr; }
  bool is_number() const { return std::get_if<bool>(&held_) || std::get_if<int64_t>(&held_) || std::get_if<double>(&held_); }
  const bool* boolean() const { return std::get_if<bool>(&held_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&held_); }
  const double* real() const { return std::get_if<double>(&held_); }
  const Text* text() const { return pointer<const Text>(); }
  const List* list() const { return pointer<const List>(); }
  const Dict* dict() const { return pointer<const Dict>(); }
  const Callable* callable() const { return pointer<const Callable>(); }
  Loop* loop() const { return pointer<Loop>(); }
  Namespace* scope() const {
    const auto* held = std::get_if<Namespace*>(&held_);
    return held ? *held : nullptr;
  }
  const Undefined* undefined() const { return std::get_if<Undefined>(&held_); }
  int depth() const { return list() ? list()->depth : dict() ? dict()->depth : 0; }

 private:
  template <class T>
  T* pointer() const {
    const auto* held = std::get_if<std::shared_ptr<T>>(&held_);
    return held ? held->get() : nullptr;
  }
  Storage held_;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> entries;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

constexpr int kDeepest = 200;  // levels of lists and dicts inside each other

// The name of the type as Python's messages give it: "str", "dict", "Undefined".
std::string_view type_name(const Value& value);
bool truth(const Value& value);
// Python's ==: 1 == 1.0 == True, sequences and dicts by content. Two undefined values are equal.
bool equal(const Value& a, const Value& b);
// Python's <: numbers, strings, and lists or tuples of them. Throws InputError for anything else.
bool less(const Value& a, const Value& b);
// str(value), as {{ value }} prints it; and repr(value), as it shows inside a list.
std::string to_text(const Value& value);
std::string to_repr(const Value& value);
// The value of a key, or null. Keys compare as ==.
const Value* find(const Dict& dict, const Value& key);
const Value* find(const Dict& dict, std::string_view key);
// A number as double, or as int64 (bool counts as 0 and 1). Only for is_number() values.
double as_real(const Value& number);
// len(value); throws InputError for what has none.
int64_t size_of(const Value& value);
// What a for loop walks: items, keys, characters. Throws InputError for what Python cannot iterate. A generator is used up.
std::vector<Value> iterate(const Value& value);

}  // namespace tessera::text::jinja
