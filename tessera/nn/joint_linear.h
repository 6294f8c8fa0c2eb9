#pragma once
// Layers with one input as one product, for training: forward, gradient of the input and gradient of all weights are one product each.

#include <torch/torch.h>

#include <vector>

namespace tessera::nn {

// joined: [sum of outs, in], the layers' weights where they lie one behind another (see lay_together); weights: the same memory, layer by
// layer, two or three leaves. x: [..., in]. Returns x joined^T [..., sum of outs], differentiable in x and in every one of `weights`.
torch::Tensor joint_linear(const torch::Tensor& x, const torch::Tensor& joined, const std::vector<torch::Tensor>& weights);

}  // namespace tessera::nn
