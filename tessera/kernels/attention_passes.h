#pragma once
// The two passes of attention.h over tensors that it has checked, without autograd.

#include <torch/torch.h>

namespace tessera::kernels {

// Whether this LibTorch and this kind of CPU have the products that the passes are made of.
bool attention_has_products();

// What the forward pass gives and the backward pass needs again.
struct AttentionPass {
  torch::Tensor q, k, v;  // [B, H, T, e], [B, K, S, e] twice
  torch::Tensor out;      // dense [B, T, H, e]
  torch::Tensor log_sum;  // [B, H, T padded to 64] float32: log of each query's sum of exp(score)
  torch::Tensor low;      // [B or 1, T] int32
  torch::Tensor slopes;   // [H] float32, or undefined
  double scale = 0.0;
};

AttentionPass attention_forward(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale,
                                const torch::Tensor& low, const torch::Tensor& slopes = {});

// dout: [B, T, H * e]; fills dq, dk, dv, of the sizes of q, k, v and any strides but the last.
void attention_backward(const AttentionPass& pass, const torch::Tensor& dout, const torch::Tensor& dq, const torch::Tensor& dk,
                        const torch::Tensor& dv);

}  // namespace tessera::kernels
