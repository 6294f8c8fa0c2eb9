#pragma once
// Element types of tensor files: the plain ones of safetensors and PyTorch, and GGUF's blocks, where 32 or 256 numbers share scales.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::tensor {

// The order of the plain types is the order of the reference's safetensors writer: larger values are written first.
enum class Dtype : uint8_t {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
};

struct DtypeTraits {
  Dtype dtype;
  std::string_view name;         // as users read it: "F32", "BF16", "Q4_K" ...; safetensors' own name for the plain types
  int64_t block;                 // elements of one block; 1 for the plain types
  int64_t block_bytes;           // bytes of one block; of one element for the plain types
  std::optional<uint32_t> gguf;  // GGUF's number of the type, where it has one
  bool safetensors;              // may stand in a safetensors file
  bool quantised() const { return block > 1; }
};

const DtypeTraits& traits(Dtype dtype);
inline std::string_view name(Dtype dtype) { return traits(dtype).name; }
std::span<const DtypeTraits> all_dtypes();
std::optional<Dtype> dtype_named(std::string_view name);  // "F32", "Q4_1" ...: upper case, as in files
std::optional<Dtype> dtype_of_gguf(uint32_t number);      // of the types that are read
std::string_view gguf_type_name(uint32_t number);         // of every type GGUF knows, read or not; "" for unknown numbers

// A tensor as a file lists it.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;  // row-major, outermost first, as PyTorch prints it (also for GGUF); empty: a single number
  uint64_t bytes = 0;          // of the encoded data

  int64_t elements() const;  // product of the shape; bytes_of has checked that it fits
};

// Bytes of a tensor of `shape`; InputError (naming the tensor) for a negative size, a product beyond 2^63, or rows that quantised blocks
// do not divide.
uint64_t bytes_of(std::string_view name, Dtype dtype, std::span<const int64_t> shape);

}  // namespace tessera::tensor
