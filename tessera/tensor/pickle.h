#pragma once
// Python's pickle as data: a program of a stack machine, of which only the steps that build plain values are understood. Nothing is
// imported and nothing is called: a class or function is a name, a call is a node that holds name and arguments.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::tensor {

using PickleRef = uint32_t;  // index into Pickle::nodes; nodes may be shared and form cycles

struct PickleNode {
  enum class Kind : uint8_t { none, boolean, integer, big_integer, real, text, bytes, list, tuple, dict, global, call, persistent };
  Kind kind = Kind::none;
  int64_t integer = 0;           // integer, boolean
  double real = 0.0;             // real
  std::string_view text;         // text, bytes, big_integer (little-endian): the bytes in the source; global: "module"
  std::string_view name;         // global: the name inside the module
  std::vector<PickleRef> items;  // list, tuple; dict: key, value, key, value ...; call: function, arguments; persistent: its id
};

struct Pickle {
  std::vector<PickleNode> nodes;
  PickleRef root = 0;
  size_t end = 0;  // bytes read

  const PickleNode& at(PickleRef ref) const { return nodes[ref]; }
};

// Reads one pickle of protocol 2 to 4 from the start of `bytes`; texts stay there. `file` names it in messages. InputError for a damaged
// one, for other protocols, for more than 4 million values, and, by its name, for every class or function that torch.save does not need
// for tensors, containers and numbers. OrderedDict becomes a dict; what BUILD would add to an object is dropped.
Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& file);

}  // namespace tessera::tensor
