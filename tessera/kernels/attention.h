#pragma once
// Softmax attention of many queries at once, with its gradient, by tiles of 64 queries and 64 keys (Dao et al., arXiv 2205.14135): the
// scores of a tile of queries stay in the cache, tiles that no query sees are left out, and what the backward pass needs of the softmax is
// one number a query. Products are LibTorch's oneDNN micro-kernels, float32 inside. LibTorch's own CPU kernel calls MKL for every tile and
// reaches a tenth of this machine's products (bench/kernels.py).

#include <torch/torch.h>

namespace tessera::kernels {

constexpr int64_t attention_least = 48;  // queries from which it is faster than LibTorch's kernel

// Whether `attention` takes these: float32 or bfloat16 on an x86 CPU, [B, H, T, e], [B, K, S, e] twice, the last dimension dense, H a
// multiple of K, T from attention_least to S.
bool attention_takes(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v);

// softmax(q k^T * scale) v, [B, T, H * e] dense, differentiable in q, k and v. Query i sees the keys low[b, i] .. S - T + i, and itself at
// least; low: [B or 1, T] int32, all zero when undefined. With slopes [H] float32 (ALiBi) the score of query i and key s is
// slope * (s - (S - T + i)) higher. Accuracy of float32 sums; InputError on other shapes.
// Memory: 8 * B * K * S * e bytes, and 256 * S bytes a thread; with the gradient 40 * max(S, T) * e bytes a thread.
torch::Tensor attention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale, const torch::Tensor& low = {},
                        const torch::Tensor& slopes = {});

// The same of tokens on themselves, from one projection: joined [B, T, H + 2 K, e] holds the heads of q, k and v one behind another; q and
// k are turned by rotary.h's table first. Its gradient is written in the place of joined's, without a copy of any part.
bool rotary_attention_takes(const torch::Tensor& joined, int64_t heads);
torch::Tensor rotary_attention(const torch::Tensor& joined, const torch::Tensor& cos, const torch::Tensor& sin, int64_t heads, double scale,
                               const torch::Tensor& low = {});

}  // namespace tessera::kernels
