#include "tessera/tensor/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/tensor/bytes.h"

namespace tessera::tensor {
namespace {

using Kind = PickleNode::Kind;

constexpr size_t max_nodes = size_t{1} << 22;

constexpr std::array<std::pair<std::string_view, std::string_view>, 25> allowed_globals = {{
    {"collections", "OrderedDict"},
    {"torch._utils", "_rebuild_tensor"},
    {"torch._utils", "_rebuild_tensor_v2"},
    {"torch._utils", "_rebuild_tensor_v3"},
    {"torch._utils", "_rebuild_parameter"},
    {"torch._utils", "_rebuild_parameter_with_state"},
    {"torch.storage", "UntypedStorage"},
    {"torch", "UntypedStorage"},
    {"torch", "Size"},
    {"torch", "device"},
    {"numpy.core.multiarray", "scalar"},
    {"numpy._core.multiarray", "scalar"},
    {"numpy", "dtype"},
    {"_codecs", "encode"},
    {"builtins", "set"},
    {"builtins", "frozenset"},
    {"builtins", "complex"},
    {"builtins", "bytearray"},
    {"__builtin__", "set"},
    {"__builtin__", "frozenset"},
    {"__builtin__", "complex"},
    {"__builtin__", "bytearray"},
    {"torch", "strided"},
    {"torch", "contiguous_format"},
    {"torch", "preserve_format"},
}};

constexpr std::array<std::string_view, 20> torch_dtypes = {
    "float32", "float", "float64", "double", "float16", "half",   "bfloat16", "uint8",     "int8",          "int16",
    "int32",   "int64", "long",    "bool",   "uint16",  "uint32", "uint64",   "complex64", "float8_e4m3fn", "float8_e5m2"};

bool is_allowed(std::string_view module, std::string_view name) {
  if (std::ranges::find(allowed_globals, std::pair(module, name)) != allowed_globals.end()) return true;
  if (module != "torch") return false;
  return std::ranges::find(torch_dtypes, name) != torch_dtypes.end() ||
         (name.ends_with("Storage") && name.find('.') == std::string_view::npos);
}

// The stack machine. Every step takes at least a byte and makes at most one node.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Pickle run() {
    for (;;) {
      op_position_ = position_;
      const auto op = number<uint8_t>();
      if (op == '.') break;
      if (!constant(op) && !sized(op) && !container(op) && !memo(op)) object(op);
      if (std::max({pickle_.nodes.size(), stack_.size(), marks_.size(), memo_.size(), copied_}) > max_nodes)
        fail("more than 4 million values");
    }
    pickle_.root = pop();
    pickle_.end = position_;
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw InputError("{}: its pickle is damaged or unusual: {} at byte {}; save it again with torch.save(model.state_dict(), ...)", file_,
                     what, op_position_);
  }
  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - position_) {
      throw InputError("{}: its pickle is cut short at byte {}; copy it again", file_, op_position_);
    }
    const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()) + position_, count);
    position_ += count;
    return taken;
  }
  template <class T>
  T number() {
    return read_number<T>(reinterpret_cast<const std::byte*>(take(sizeof(T)).data()));
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, bytes_.size() - position_);
    const size_t length = rest.find('\n');
    if (length == std::string_view::npos) fail("a name without end");
    return take(length + 1).substr(0, length);
  }

  void push(PickleNode node) {
    pickle_.nodes.push_back(std::move(node));
    stack_.push_back(static_cast<PickleRef>(pickle_.nodes.size() - 1));
  }
  void push(Kind kind, std::vector<PickleRef> items) {
    PickleNode node;
    node.kind = kind;
    node.items = std::move(items);
    push(std::move(node));
  }
  void push_text(Kind kind, std::string_view text) {
    PickleNode node;
    node.kind = kind;
    node.text = text;
    push(std::move(node));
  }
  void push_integer(Kind kind, int64_t value) {
    PickleNode node;
    node.kind = kind;
    node.integer = value;
    push(std::move(node));
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleRef pop() {
    if (stack_.size() <= floor()) fail("an empty stack");
    const PickleRef top = stack_.back();
    stack_.pop_back();
    return top;
  }
  std::vector<PickleRef> pop_many(size_t count) {
    if (stack_.size() - floor() < count) fail("an empty stack");
    std::vector<PickleRef> items(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) fail("a missing mark");
    std::vector<PickleRef> items = pop_many(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }
  PickleNode& top(Kind kind, std::string_view expected) {
    if (stack_.size() <= floor()) fail("an empty stack");
    PickleNode& node = pickle_.nodes[stack_.back()];
    if (node.kind != kind) fail(expected);
    return node;
  }

  bool constant(uint8_t op) {
    switch (op) {
      case 'N':
        push(PickleNode{});
        return true;
      case 0x88:
      case 0x89:
        push_integer(Kind::boolean, op == 0x88 ? 1 : 0);
        return true;
      case 'J':
        push_integer(Kind::integer, number<int32_t>());
        return true;
      case 'K':
        push_integer(Kind::integer, number<uint8_t>());
        return true;
      case 'M':
        push_integer(Kind::integer, number<uint16_t>());
        return true;
      case 'G': {
        PickleNode node;
        node.kind = Kind::real;
        node.real = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()));
        push(std::move(node));
        return true;
      }
      case 0x80: {
        const auto protocol = number<uint8_t>();
        if (protocol < 2 || protocol > 4) fail(fmt::format("protocol {}, 2 to 4 are read,", protocol));
        return true;
      }
      case 0x95:  // a frame: only a hint for buffered reading
        if (number<uint64_t>() > bytes_.size() - position_) fail("a frame beyond the end");
        return true;
      default:
        return false;
    }
  }

  // Opcodes followed by a length and that many bytes.
  bool sized(uint8_t op) {
    switch (op) {
      case 0x8a:
        push_long(take(number<uint8_t>()));
        return true;
      case 0x8b:
        push_long(take(number<uint32_t>()));
        return true;
      case 'X':
      case 'T':
        push_text(Kind::text, take(number<uint32_t>()));
        return true;
      case 0x8c:
      case 'U':
        push_text(Kind::text, take(number<uint8_t>()));
        return true;
      case 0x8d:
        push_text(Kind::text, take(number<uint64_t>()));
        return true;
      case 'B':
        push_text(Kind::bytes, take(number<uint32_t>()));
        return true;
      case 'C':
        push_text(Kind::bytes, take(number<uint8_t>()));
        return true;
      case 0x8e:
        push_text(Kind::bytes, take(number<uint64_t>()));
        return true;
      default:
        return false;
    }
  }
  void push_long(std::string_view digits) {  // little-endian two's complement
    if (digits.size() > sizeof(int64_t)) return push_text(Kind::big_integer, digits);
    const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    std::memcpy(&value, digits.data(), digits.size());
    push_integer(Kind::integer, static_cast<int64_t>(value));
  }

  bool container(uint8_t op) {
    switch (op) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_to_mark();
        return true;
      case ']':
      case 0x8f:  // a set: its elements in a list
        push(Kind::list, {});
        return true;
      case ')':
        push(Kind::tuple, {});
        return true;
      case '}':
        push(Kind::dict, {});
        return true;
      case 'l':
      case 0x91:
        push(Kind::list, pop_to_mark());
        return true;
      case 't':
        push(Kind::tuple, pop_to_mark());
        return true;
      case 0x85:
      case 0x86:
      case 0x87:
        push(Kind::tuple, pop_many(op - size_t{0x84}));
        return true;
      case 'a':
        return extend(Kind::list, pop_many(1));
      case 'e':
      case 0x90:
        return extend(Kind::list, pop_to_mark());
      case 's':
        return extend(Kind::dict, pop_many(2));
      case 'u':
        return extend(Kind::dict, pop_to_mark());
      default:
        return false;
    }
  }
  bool extend(Kind kind, const std::vector<PickleRef>& items) {
    if (kind == Kind::dict && items.size() % 2 != 0) fail("a key without a value");
    auto& into = top(kind, "items for what is no list or dict").items;
    into.insert(into.end(), items.begin(), items.end());
    return true;
  }

  bool memo(uint8_t op) {
    switch (op) {
      case 'q':
        return remember(number<uint8_t>());
      case 'r':
        return remember(number<uint32_t>());
      case 0x94:
        return remember(static_cast<uint32_t>(memo_.size()));
      case 'h':
        return recall(number<uint8_t>());
      case 'j':
        return recall(number<uint32_t>());
      default:
        return false;
    }
  }
  bool remember(uint32_t slot) {
    if (stack_.size() <= floor()) fail("an empty stack");
    memo_[slot] = stack_.back();
    return true;
  }
  bool recall(uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) fail("an unset memo");
    stack_.push_back(found->second);
    return true;
  }

  void object(uint8_t op) {
    switch (op) {
      case 'c': {
        const std::string_view module = line();
        return global(module, line());
      }
      case 0x93: {
        const std::vector<PickleRef> names = pop_many(2);
        const PickleNode &module = pickle_.at(names[0]), &name = pickle_.at(names[1]);
        if (module.kind != Kind::text || name.kind != Kind::text) fail("a class without a name");
        return global(module.text, name.text);
      }
      case 'R':
      case 0x81:
        return call();
      case 'b':
        pop();
        if (stack_.size() <= floor()) fail("an empty stack");
        return;
      case 'Q':
        return push(Kind::persistent, pop_many(1));
      default:
        fail(fmt::format("the opcode 0x{:02x}", op));
    }
  }
  void global(std::string_view module, std::string_view name) {
    if (!is_allowed(module, name)) {
      throw InputError("{} holds a Python object {}, which is not read because it could run code; save only its state_dict()", file_,
                       tessera::quoted(fmt::format("{:.80}.{:.80}", module, name), 170));
    }
    PickleNode node;
    node.kind = Kind::global;
    node.text = module;
    node.name = name;
    push(std::move(node));
  }
  void call() {
    std::vector<PickleRef> parts = pop_many(2);
    const PickleNode &function = pickle_.at(parts[0]), &arguments = pickle_.at(parts[1]);
    if (function.kind != Kind::global || arguments.kind != Kind::tuple) fail("a call of what is no function");
    if (function.name != "OrderedDict") return push(Kind::call, std::move(parts));
    std::vector<PickleRef> items;
    if (!arguments.items.empty()) {  // Python 2 hands over a list of pairs
      for (const PickleRef pair : pickle_.at(arguments.items[0]).items) {
        if (pickle_.at(pair).items.size() != 2) fail("a dict of other than pairs");
        items.insert(items.end(), pickle_.at(pair).items.begin(), pickle_.at(pair).items.end());
        if (++copied_ > max_nodes) fail("more than 4 million values");
      }
    }
    push(Kind::dict, std::move(items));
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  size_t position_ = 0, op_position_ = 0;
  size_t copied_ = 0;  // pairs that calls of OrderedDict copied: the only step that makes more than it reads
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, PickleRef> memo_;
};

}  // namespace

Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& file) { return PickleMachine(bytes, file).run(); }

}  // namespace tessera::tensor
