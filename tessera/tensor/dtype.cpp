#include "tessera/tensor/dtype.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tessera/base/error.h"

namespace tessera::tensor {
namespace {

constexpr std::array<DtypeTraits, 26> dtype_table = {{
    {Dtype::boolean, "BOOL", 1, 1, {}, true},    {Dtype::u8, "U8", 1, 1, {}, true},           {Dtype::i8, "I8", 1, 1, 24, true},
    {Dtype::f8_e5m2, "F8_E5M2", 1, 1, {}, true}, {Dtype::f8_e4m3, "F8_E4M3", 1, 1, {}, true}, {Dtype::i16, "I16", 1, 2, 25, true},
    {Dtype::u16, "U16", 1, 2, {}, true},         {Dtype::f16, "F16", 1, 2, 1, true},          {Dtype::bf16, "BF16", 1, 2, 30, true},
    {Dtype::i32, "I32", 1, 4, 26, true},         {Dtype::u32, "U32", 1, 4, {}, true},         {Dtype::f32, "F32", 1, 4, 0, true},
    {Dtype::c64, "C64", 1, 8, {}, true},         {Dtype::f64, "F64", 1, 8, 28, true},         {Dtype::i64, "I64", 1, 8, 27, true},
    {Dtype::u64, "U64", 1, 8, {}, true},         {Dtype::q4_0, "Q4_0", 32, 18, 2, false},     {Dtype::q4_1, "Q4_1", 32, 20, 3, false},
    {Dtype::q5_0, "Q5_0", 32, 22, 6, false},     {Dtype::q5_1, "Q5_1", 32, 24, 7, false},     {Dtype::q8_0, "Q8_0", 32, 34, 8, false},
    {Dtype::q2_k, "Q2_K", 256, 84, 10, false},   {Dtype::q3_k, "Q3_K", 256, 110, 11, false},  {Dtype::q4_k, "Q4_K", 256, 144, 12, false},
    {Dtype::q5_k, "Q5_K", 256, 176, 13, false},  {Dtype::q6_k, "Q6_K", 256, 210, 14, false},
}};

// Types that GGUF files may hold and this reader refuses by name.
constexpr std::array<std::pair<uint32_t, std::string_view>, 22> unread_gguf_types = {{
    {4, "Q4_2"},        {5, "Q4_3"},      {9, "Q8_1"},      {15, "Q8_K"},     {16, "IQ2_XXS"}, {17, "IQ2_XS"},
    {18, "IQ3_XXS"},    {19, "IQ1_S"},    {20, "IQ4_NL"},   {21, "IQ3_S"},    {22, "IQ2_S"},   {23, "IQ4_XS"},
    {29, "IQ1_M"},      {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"}, {34, "TQ1_0"},   {35, "TQ2_0"},
    {36, "IQ4_NL_4_4"}, {39, "MXFP4"},    {40, "NVFP4"},    {41, "Q1_0"},
}};

}  // namespace

const DtypeTraits& traits(Dtype dtype) { return dtype_table.at(static_cast<size_t>(dtype)); }

std::span<const DtypeTraits> all_dtypes() { return dtype_table; }

std::optional<Dtype> dtype_named(std::string_view name) {
  const auto* found = std::ranges::find(dtype_table, name, &DtypeTraits::name);
  return found == dtype_table.end() ? std::nullopt : std::optional(found->dtype);
}

std::optional<Dtype> dtype_of_gguf(uint32_t number) {
  const auto* found = std::ranges::find(dtype_table, std::optional(number), &DtypeTraits::gguf);
  return found == dtype_table.end() ? std::nullopt : std::optional(found->dtype);
}

std::string_view gguf_type_name(uint32_t number) {
  if (const auto dtype = dtype_of_gguf(number)) return name(*dtype);
  const auto* found = std::ranges::find(unread_gguf_types, number, &std::pair<uint32_t, std::string_view>::first);
  return found == unread_gguf_types.end() ? std::string_view() : found->second;
}

int64_t TensorInfo::elements() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

uint64_t bytes_of(std::string_view name, Dtype dtype, std::span<const int64_t> shape) {
  const DtypeTraits& type = traits(dtype);
  // A zero anywhere makes the tensor empty, but PyTorch still multiplies the other sizes into strides: they must fit too.
  int64_t elements = 1, extent = 1;
  for (const int64_t size : shape) {
    if (size < 0) throw InputError("tensor {} has the negative size {}; the file is damaged", tessera::quoted(name), size);
    if (__builtin_mul_overflow(elements, size, &elements) || __builtin_mul_overflow(extent, std::max<int64_t>(size, 1), &extent)) {
      throw InputError("tensor {} has a shape whose elements cannot be counted in 63 bits; the file is damaged", tessera::quoted(name));
    }
  }
  if (type.quantised() && (shape.empty() || shape.back() % type.block != 0)) {
    throw InputError("tensor {} has rows of {} elements, but {} needs a multiple of {}; the file is damaged or made for another type",
                     tessera::quoted(name), shape.empty() ? 1 : shape.back(), type.name, type.block);
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(extent / type.block, type.block_bytes, &bytes)) {
    throw InputError("tensor {} has a shape whose bytes cannot be counted in 63 bits; the file is damaged", tessera::quoted(name));
  }
  return static_cast<uint64_t>(elements / type.block) * static_cast<uint64_t>(type.block_bytes);
}

}  // namespace tessera::tensor
