#include "tessera/kernels/adam8bit.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/tensor/shapes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tessera/kernels/adam8bit.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tessera/kernels/lanes-inl.h"

#ifndef TESSERA_KERNELS_ADAM8BIT_PIECE
#define TESSERA_KERNELS_ADAM8BIT_PIECE
namespace tessera::kernels {
// A code's number c (the code less 127 with sign, plus 1 without) is 2^e (1 + f): it stands for base[e] + width[e] f. Backwards, an x above
// k of the middles has the number round(x * slope[k] + shift[k]), at most last[k]. Tables fill a register of 16.
struct alignas(64) DynamicTables {
  float base[16], width[16], slope[16], shift[16], last[16];
  float above[8];  // the middles below decade 0 to 6 and below 1.0
};

// Blocks [0, blocks) of one tensor; the last may be short.
struct Piece8 {
  void *value, *grad;
  uint8_t *m_codes, *v_codes;
  float *m_maxima, *v_maxima;
  int64_t n;
  bool value_bf16, grad_bf16;
  float new1, beta2, new2, eps, root_scale, step, keep;
  const DynamicTables *with_sign, *without;
};

struct Codes8 {
  float* x;
  uint8_t* codes;
  float* maxima;
  int64_t n;
  bool with_sign;
  const DynamicTables* tables;
};
}  // namespace tessera::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
using Lanes8 = hn::CappedTag<float, 1>;
#else
using Lanes8 = hn::ScalableTag<float>;
#endif
using Ints8 = hn::RebindToSigned<Lanes8>;

// table[index], index in 0..8.
HWY_INLINE hn::Vec<Lanes8> entry8(Lanes8 d, const float* table, hn::Vec<Ints8> index) {
#if HWY_TARGET <= HWY_AVX3
  return hn::TableLookupLanes(hn::Load(d, table), hn::IndicesFromVec(d, index));
#else
  return hn::GatherIndex(d, table, index);
#endif
}

// The values of codes' numbers c >= 1.
HWY_INLINE hn::Vec<Lanes8> value_of_number(Lanes8 d, hn::Vec<Ints8> c, const DynamicTables& t) {
  const Ints8 di;
  const auto bits = hn::BitCast(di, hn::ConvertTo(d, c));
  const auto decade = hn::Sub(hn::ShiftRight<23>(bits), hn::Set(di, 127));
  const auto one = hn::BitCast(d, hn::Or(hn::And(bits, hn::Set(di, 0x007fffff)), hn::Set(di, 0x3f800000)));
  return hn::MulAdd(entry8(d, t.width, decade), hn::Sub(one, hn::Set(d, 1.0F)), entry8(d, t.base, decade));
}

HWY_INLINE hn::Vec<Ints8> load_codes(const uint8_t* codes) {
  const Ints8 di;
  const hn::Rebind<uint8_t, Ints8> narrow;
  return hn::PromoteTo(di, hn::LoadU(narrow, codes));
}

HWY_INLINE void store_codes(hn::Vec<Ints8> c, uint8_t* codes) {
  const hn::Rebind<uint8_t, Ints8> narrow;
  hn::StoreU(hn::DemoteTo(narrow, c), narrow, codes);
}

HWY_INLINE hn::Vec<Lanes8> decode_signed(Lanes8 d, const uint8_t* codes, const DynamicTables& t) {
  const Ints8 di;
  const auto c = hn::Sub(load_codes(codes), hn::Set(di, 127));
  const auto size = value_of_number(d, hn::Max(hn::Abs(c), hn::Set(di, 1)), t);
  const auto x = hn::IfThenZeroElse(hn::RebindMask(d, hn::Eq(c, hn::Zero(di))), size);
  return hn::IfThenElse(hn::RebindMask(d, hn::Lt(c, hn::Zero(di))), hn::Neg(x), x);
}

HWY_INLINE hn::Vec<Lanes8> decode_unsigned(Lanes8 d, const uint8_t* codes, const DynamicTables& t) {
  return value_of_number(d, hn::Add(load_codes(codes), hn::Set(Ints8(), 1)), t);
}

// The number nearest to x in [0, 1].
HWY_INLINE hn::Vec<Ints8> number_of_value(Lanes8 d, hn::Vec<Lanes8> x, const DynamicTables& t) {
  const Ints8 di;
  auto decade = hn::Zero(di);
  for (int i = 0; i < 8; ++i) {
    const auto higher = hn::RebindMask(di, hn::Gt(x, hn::Set(d, t.above[i])));
    decade = hn::Sub(decade, hn::VecFromMask(di, higher));
  }
  const auto number = hn::MulAdd(x, entry8(d, t.slope, decade), entry8(d, t.shift, decade));
  return hn::NearestInt(hn::Min(number, entry8(d, t.last, decade)));
}

HWY_INLINE void encode_signed(Lanes8 d, hn::Vec<Lanes8> x, uint8_t* codes, const DynamicTables& t) {
  const Ints8 di;
  const auto negative = hn::RebindMask(di, hn::Lt(x, hn::Zero(d)));
  const auto size = number_of_value(d, hn::Abs(x), t);
  const auto below = hn::Max(hn::Min(size, hn::Set(di, 127)), hn::Set(di, 1));  // -1 has no code, and a negative x stays negative
  store_codes(hn::Add(hn::Set(di, 127), hn::IfThenElse(negative, hn::Neg(below), size)), codes);
}

HWY_INLINE void encode_unsigned(Lanes8 d, hn::Vec<Lanes8> x, uint8_t* codes, const DynamicTables& t) {
  store_codes(hn::Sub(number_of_value(d, x, t), hn::Set(Ints8(), 1)), codes);
}

HWY_INLINE float inverse_of(float maximum) { return maximum > 0.0F ? 1.0F / maximum : 0.0F; }

template <class V, class G>
void adam8_block(const Piece8& job, V* value, G* grad, uint8_t* mc, uint8_t* vc, float* m_maximum, float* v_maximum) {
  const Lanes8 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  HWY_ALIGN float ms[block8], vs[block8];
  auto m_most = hn::Zero(d), v_most = hn::Zero(d);
  const auto m_unit = hn::Set(d, *m_maximum), v_unit = hn::Set(d, *v_maximum);
  for (int64_t i = 0; i < block8; i += lanes) {
    const auto g = load_lanes(d, grad + i);
    const auto finite = hn::IsFinite(g);
    const auto m_old = hn::Mul(decode_signed(d, mc + i, *job.with_sign), m_unit);
    const auto v_old = hn::Mul(decode_unsigned(d, vc + i, *job.without), v_unit);
    const auto m = hn::IfThenElse(finite, hn::MulAdd(hn::Set(d, job.new1), hn::Sub(g, m_old), m_old), m_old);
    const auto v = hn::IfThenElse(finite, hn::MulAdd(hn::Mul(hn::Set(d, job.new2), g), g, hn::Mul(hn::Set(d, job.beta2), v_old)), v_old);
    hn::Store(m, d, ms + i);
    hn::Store(v, d, vs + i);
    m_most = hn::Max(m_most, hn::Abs(m));
    v_most = hn::Max(v_most, v);
    const auto root = hn::MulAdd(hn::Sqrt(v), hn::Set(d, job.root_scale), hn::Set(d, job.eps));
    const auto direction = hn::IfThenElseZero(finite, hn::Div(m, root));
    if (value == nullptr) {
      store_lanes(d, direction, grad + i);
    } else {
      const auto was = load_lanes(d, value + i);
      const auto moved = hn::Mul(hn::NegMulAdd(hn::Set(d, job.step), direction, was), hn::Set(d, job.keep));
      store_lanes(d, hn::IfThenElse(finite, moved, was), value + i);
    }
  }
  *m_maximum = hn::GetLane(hn::MaxOfLanes(d, m_most));
  *v_maximum = hn::GetLane(hn::MaxOfLanes(d, v_most));
  const auto m_inverse = hn::Set(d, inverse_of(*m_maximum)), v_inverse = hn::Set(d, inverse_of(*v_maximum));
  for (int64_t i = 0; i < block8; i += lanes) {
    encode_signed(d, hn::Mul(hn::Load(d, ms + i), m_inverse), mc + i, *job.with_sign);
    encode_unsigned(d, hn::Mul(hn::Load(d, vs + i), v_inverse), vc + i, *job.without);
  }
}

template <class V, class G>
void adam8_piece_of(const Piece8& job) {
  auto* value = static_cast<V*>(job.value);
  auto* grad = static_cast<G*>(job.grad);
  for (int64_t i = 0, b = 0; i < job.n; i += block8, ++b) {
    const int64_t n = HWY_MIN(block8, job.n - i);
    if (n == block8) {
      adam8_block(job, value == nullptr ? value : value + i, grad + i, job.m_codes + i, job.v_codes + i, job.m_maxima + b,
                  job.v_maxima + b);
      continue;
    }
    // The short last block is moved as a whole one whose rest is zero.
    V values[block8] = {};
    G grads[block8] = {};
    uint8_t mc[block8], vc[block8];
    for (int64_t k = 0; k < block8; ++k) {
      mc[k] = k < n ? job.m_codes[i + k] : 127;
      vc[k] = k < n ? job.v_codes[i + k] : 0;
      if (k >= n) continue;
      grads[k] = grad[i + k];
      if (value != nullptr) values[k] = value[i + k];
    }
    adam8_block(job, value == nullptr ? value : values, grads, mc, vc, job.m_maxima + b, job.v_maxima + b);
    for (int64_t k = 0; k < n; ++k) {
      job.m_codes[i + k] = mc[k];
      job.v_codes[i + k] = vc[k];
      if (value != nullptr) {
        value[i + k] = values[k];
      } else {
        grad[i + k] = grads[k];
      }
    }
  }
}

void adam8_piece(const Piece8& job) {
  if (job.value_bf16) {
    job.grad_bf16 ? adam8_piece_of<Bf16Bits, Bf16Bits>(job) : adam8_piece_of<Bf16Bits, float>(job);
  } else {
    job.grad_bf16 ? adam8_piece_of<float, Bf16Bits>(job) : adam8_piece_of<float, float>(job);
  }
}

void encode8_block(const Codes8& job, int64_t block) {
  const Lanes8 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t begin = block * block8, n = HWY_MIN(block8, job.n - begin);
  HWY_ALIGN float x[block8] = {};
  HWY_ALIGN uint8_t codes[block8];
  float most = 0.0F;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = job.x[begin + i];
    most = HWY_MAX(most, x[i] < 0.0F ? -x[i] : x[i]);
  }
  job.maxima[block] = most;
  const auto inverse = hn::Set(d, inverse_of(most));
  for (int64_t i = 0; i < block8; i += lanes) {
    const auto scaled = hn::Mul(hn::Load(d, x + i), inverse);
    job.with_sign ? encode_signed(d, scaled, codes + i, *job.tables) : encode_unsigned(d, scaled, codes + i, *job.tables);
  }
  for (int64_t i = 0; i < n; ++i) job.codes[begin + i] = codes[i];
}

void decode8_block(const Codes8& job, int64_t block) {
  const Lanes8 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t begin = block * block8, n = HWY_MIN(block8, job.n - begin);
  HWY_ALIGN float x[block8];
  HWY_ALIGN uint8_t codes[block8] = {};
  for (int64_t i = 0; i < n; ++i) codes[i] = job.codes[begin + i];
  const auto unit = hn::Set(d, job.maxima[block]);
  for (int64_t i = 0; i < block8; i += lanes) {
    const auto y = job.with_sign ? decode_signed(d, codes + i, *job.tables) : decode_unsigned(d, codes + i, *job.tables);
    hn::Store(hn::Mul(y, unit), d, x + i);
  }
  for (int64_t i = 0; i < n; ++i) job.x[begin + i] = x[i];
}

void codes8_run(const Codes8& job, bool decode, int64_t begin, int64_t end) {
  for (int64_t b = begin; b < end; ++b) decode ? decode8_block(job, b) : encode8_block(job, b);
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tessera::kernels {

HWY_EXPORT(adam8_piece);
HWY_EXPORT(codes8_run);

namespace {

// Values a decade has, and its numbers: decade k of 0..6 has 2^(k + more) values, whose numbers begin at that same power of two.
struct Decade {
  double unit, count;
  double value(double j) const { return unit * (0.1 + 0.9 * (j + 0.5) / count); }
};

Decade decade_of(int k, bool with_sign) { return {std::pow(10.0, k - 6), std::pow(2.0, k + (with_sign ? 0 : 1))}; }

// The tables of one map. Decoding reads base and width by the exponent of the number; encoding reads slope, shift and last by how many
// middles lie below x: 0 for zero, k + 1 for decade k, 8 for 1.0.
DynamicTables make_tables(bool with_sign) {
  DynamicTables t{};
  const int more = with_sign ? 0 : 1;
  for (int k = 0; k < 7; ++k) {
    const auto decade = decade_of(k, with_sign);
    t.base[k + more] = static_cast<float>(decade.value(0.0));
    t.width[k + more] = static_cast<float>(0.9 * decade.unit);
    t.slope[k + 1] = static_cast<float>(decade.count / (0.9 * decade.unit));
    t.shift[k + 1] = static_cast<float>(decade.count - 0.1 / 0.9 * decade.count - 0.5);
    t.last[k + 1] = static_cast<float>(2 * decade.count - 1);
    const double below = k == 0 ? 0.0 : decade_of(k - 1, with_sign).value(decade_of(k - 1, with_sign).count - 1);
    t.above[k] = static_cast<float>((below + decade.value(0.0)) / 2);
  }
  const auto top = decade_of(6, with_sign);
  t.above[7] = static_cast<float>((top.value(top.count - 1) + 1.0) / 2);
  t.base[7 + more] = 1.0F;  // number 128 with sign, 256 without
  t.shift[8] = static_cast<float>(2 * top.count);
  t.last[8] = t.shift[8];
  t.shift[0] = t.last[0] = static_cast<float>(more);  // zero's number: 0 with sign, 1 without
  return t;
}

// Made once a process: pure constants.
const DynamicTables& tables_of(bool with_sign) {
  static const DynamicTables signed_tables = make_tables(true), unsigned_tables = make_tables(false);
  return with_sign ? signed_tables : unsigned_tables;
}

bool is_plain(const torch::Tensor& t, torch::Dtype dtype, int64_t n) {
  return t.defined() && t.device().is_cpu() && t.is_contiguous() && t.scalar_type() == dtype && t.numel() == n;
}

void check_item(const Adam8Item& item) {
  const int64_t n = item.grad.numel();
  const auto moves = [&](const torch::Tensor& t) { return is_plain(t, torch::kFloat32, n) || is_plain(t, torch::kBFloat16, n); };
  if (!moves(item.grad) || (item.value.defined() && !moves(item.value)) || !is_plain(item.m_codes, torch::kUInt8, n) ||
      !is_plain(item.v_codes, torch::kUInt8, n) || !is_plain(item.m_maxima, torch::kFloat32, blocks8(n)) ||
      !is_plain(item.v_maxima, torch::kFloat32, blocks8(n))) {
    throw InputError(
        "adam8_step of a gradient {}; expected dense tensors on the CPU, a uint8 code an element and a float32 maximum a block",
        tensor::shape_text(item.grad.sizes()));
  }
}

template <class T>
T* place(const torch::Tensor& t, int64_t i) {
  return static_cast<T*>(t.mutable_data_ptr()) + i;
}

void* place_of(const torch::Tensor& t, int64_t i) {
  return t.defined() ? static_cast<char*>(t.mutable_data_ptr()) + i * static_cast<int64_t>(t.element_size()) : nullptr;
}

void add_pieces(std::vector<Piece8>& pieces, const Adam8Item& item, const AdamRule& rule) {
  constexpr int64_t run = 64 * block8;  // elements a piece
  const auto bf16 = [](const torch::Tensor& t) { return t.defined() && t.scalar_type() == torch::kBFloat16; };
  const int64_t n = item.grad.numel();
  for (int64_t i = 0; i < n; i += run) {
    pieces.push_back({.value = place_of(item.value, i),
                      .grad = place_of(item.grad, i),
                      .m_codes = place<uint8_t>(item.m_codes, i),
                      .v_codes = place<uint8_t>(item.v_codes, i),
                      .m_maxima = place<float>(item.m_maxima, i / block8),
                      .v_maxima = place<float>(item.v_maxima, i / block8),
                      .n = std::min(run, n - i),
                      .value_bf16 = bf16(item.value),
                      .grad_bf16 = bf16(item.grad),
                      .new1 = static_cast<float>(1.0 - rule.beta1),
                      .beta2 = static_cast<float>(rule.beta2),
                      .new2 = static_cast<float>(1.0 - rule.beta2),
                      .eps = static_cast<float>(rule.eps),
                      .root_scale = static_cast<float>(item.root_scale),
                      .step = static_cast<float>(item.step),
                      .keep = static_cast<float>(item.keep),
                      .with_sign = &tables_of(true),
                      .without = &tables_of(false)});
  }
}

}  // namespace

std::array<float, 256> dynamic_map(bool with_sign) {
  std::array<float, 256> map{};
  size_t next = with_sign ? 128 : 1;
  for (int k = 0; k < 7; ++k) {
    const auto decade = decade_of(k, with_sign);
    for (int j = 0; j < static_cast<int>(decade.count); ++j, ++next) {
      map[next] = static_cast<float>(decade.value(j));
      if (with_sign) map[254 - next] = -map[next];
    }
  }
  map[255] = 1.0F;
  return map;
}

void encode8(const torch::Tensor& x, bool with_sign, torch::Tensor& codes, torch::Tensor& maxima) {
  const int64_t n = x.numel();
  if (!is_plain(x, torch::kFloat32, n) || !is_plain(codes, torch::kUInt8, n) || !is_plain(maxima, torch::kFloat32, blocks8(n))) {
    throw InputError("encode8 of {}; expected dense float32, a uint8 code an element and a float32 maximum a block of 256",
                     tensor::shape_text(x.sizes()));
  }
  const Codes8 job{place<float>(x, 0), place<uint8_t>(codes, 0), place<float>(maxima, 0), n, with_sign, &tables_of(with_sign)};
  at::parallel_for(0, blocks8(n), 64, [&](int64_t begin, int64_t end) { HWY_DYNAMIC_DISPATCH(codes8_run)(job, false, begin, end); });
}

torch::Tensor decode8(const torch::Tensor& codes, const torch::Tensor& maxima, bool with_sign) {
  const int64_t n = codes.numel();
  if (!is_plain(codes, torch::kUInt8, n) || !is_plain(maxima, torch::kFloat32, blocks8(n))) {
    throw InputError("decode8 of {}; expected dense uint8 codes and a float32 maximum a block of 256", tensor::shape_text(codes.sizes()));
  }
  auto x = torch::empty({n}, torch::kFloat32);
  const Codes8 job{place<float>(x, 0), place<uint8_t>(codes, 0), place<float>(maxima, 0), n, with_sign, &tables_of(with_sign)};
  at::parallel_for(0, blocks8(n), 64, [&](int64_t begin, int64_t end) { HWY_DYNAMIC_DISPATCH(codes8_run)(job, true, begin, end); });
  return x;
}

void adam8_step(std::span<const Adam8Item> items, const AdamRule& rule) {
  std::vector<Piece8> pieces;
  for (const auto& item : items) {
    check_item(item);
    add_pieces(pieces, item, rule);
  }
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) HWY_DYNAMIC_DISPATCH(adam8_piece)(pieces[i]);
  });
}

}  // namespace tessera::kernels
#endif
