// Loading and storing float32 and bfloat16 as float vectors, inside a Highway target's namespace: included once per instruction set.

#if defined(TESSERA_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TESSERA_KERNELS_LANES_INL_H_
#undef TESSERA_KERNELS_LANES_INL_H_
#else
#define TESSERA_KERNELS_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace tessera::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Bf16Bits = uint16_t;  // a bfloat16 is the upper half of a float32

template <class D>
hn::Vec<D> load_lanes(D d, const float* p) {
  return hn::LoadU(d, p);
}

template <class D>
hn::Vec<D> load_lanes(D d, const Bf16Bits* p) {
  const hn::Rebind<uint16_t, D> narrow;
  const hn::RebindToUnsigned<D> wide;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, p))));
}

template <class D>
void store_lanes(D d, hn::Vec<D> v, float* p) {
  hn::StoreU(v, d, p);
}

// Rounds to the nearest, ties to even, as LibTorch does.
template <class D>
void store_lanes(D /* d */, hn::Vec<D> v, Bf16Bits* p) {
  const hn::Rebind<uint16_t, D> narrow;
  const hn::RebindToUnsigned<D> wide;
  const hn::RebindToSigned<D> whole;
  const auto bits = hn::BitCast(wide, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(wide, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(wide, 0x7fff))));
  const auto kept = hn::IfThenElse(hn::RebindMask(wide, hn::IsNaN(v)), hn::Set(wide, 0x7fc0), rounded);
  hn::StoreU(hn::DemoteTo(narrow, hn::BitCast(whole, kept)), narrow, p);
}

// body(tag, i) for i = 0, N, 2N ... with whole vectors of N floats, then one element at a time up to n.
template <class Body>
void for_lanes(int64_t n, const Body& body) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(d, i);
  for (; i < n; ++i) body(one, i);
}

}  // namespace tessera::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
