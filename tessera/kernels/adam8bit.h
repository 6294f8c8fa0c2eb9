#pragma once
// Adam with 8-bit moments (Dettmers et al., arXiv 2110.02861): blocks of 256 values share a float32 maximum, codes stand for the values of
// a dynamic map. One pass: decode, average, move, encode. Codes are computed, not looked up: a code plus an offset, read as a number, has
// the decade in its exponent and the place within the decade in its mantissa.

#include <torch/torch.h>

#include <array>
#include <span>

#include "tessera/kernels/adam.h"

namespace tessera::kernels {

constexpr int64_t block8 = 256;  // values that share a maximum

// What the 256 codes stand for, ascending. With sign: for i = 0..6 the midpoints of linspace(0.1, 1, 2^i + 1) times 10^(i-6), both signs,
// and 0 and 1; without: of linspace(0.1, 1, 2^(i+1) + 1), and 0 and 1.
std::array<float, 256> dynamic_map(bool with_sign);

// Blocks of a tensor of n elements.
constexpr int64_t blocks8(int64_t n) { return (n + block8 - 1) / block8; }

// x: dense float32. codes: uint8 [n], the nearest value of the map to x / maximum of |x| in the block; maxima: float32 [blocks8(n)].
// With sign, a negative x never becomes 0.
void encode8(const torch::Tensor& x, bool with_sign, torch::Tensor& codes, torch::Tensor& maxima);
// float32 [n].
torch::Tensor decode8(const torch::Tensor& codes, const torch::Tensor& maxima, bool with_sign);

// One tensor's share, as AdamItem. Elements whose gradient is not finite keep value and moments.
struct Adam8Item {
  torch::Tensor value;                  // float32 or bfloat16; undefined: the direction overwrites grad
  torch::Tensor grad;                   // float32 or bfloat16
  torch::Tensor m_codes, v_codes;       // uint8, as many as grad has elements
  torch::Tensor m_maxima, v_maxima;     // float32 [blocks8(n)]
  double root_scale = 1.0, step = 0.0;  // as in AdamItem
  double keep = 1.0;                    // value *= keep behind the move
};

// Moves every item by fresh, unrounded moments, then encodes them. Any split and any number of threads give the same bits. Moves 16.06
// bytes an element. Throws InputError when shapes or dtypes of an item disagree.
void adam8_step(std::span<const Adam8Item> items, const AdamRule& rule);

}  // namespace tessera::kernels
