#pragma once
// The linear layer of every backbone: y = x W^T + b. Unlike torch::nn::Linear it does not fill its weight, so that a model of any size is
// built in no time and then loaded, or filled by init_normal.

#include <torch/torch.h>

#include <functional>
#include <initializer_list>
#include <optional>

namespace tessera::nn {

// What a layer adds to its weight without forming the sum: scale * b a (LoRA, arXiv 2106.09685).
struct LowRank {
  torch::Tensor a;     // [r, in]; float32 also beside a bfloat16 weight
  torch::Tensor b;     // [out, r]
  double scale = 1.0;  // alpha / r
  bool on = true;      // false: the layer works as if there were none
};

// Sizes of a Linear. Members of the module are `weight` [out, in] and `bias` [out] (undefined without bias), as in checkpoints.
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, bool with_bias);
  // x: [..., in] -> [..., out].
  torch::Tensor forward(const torch::Tensor& x);

  torch::Tensor weight, bias;
  // Instead of the exact x weight^T, where it is set: numerics that a method studies, such as FP8. Same shapes.
  std::function<torch::Tensor(const torch::Tensor& x, const torch::Tensor& weight)> product;
  std::optional<LowRank> low_rank;  // no parameter of the module: a checkpoint's names stay those of the plain layer
};
TORCH_MODULE(Linear);

// Gives the layers one block of memory in which their weights (and biases) lie one behind another, so that run_together can use one
// product. The layers must agree in input width and in having a bias. Values are kept, unless they are unfilled: then nothing is read.
enum class Contents { kept, unfilled };
void lay_together(std::initializer_list<Linear> layers, Contents contents = Contents::kept);

// The layers' outputs side by side, [..., sum of outs]: one product when their weights lie together (see lay_together) and nothing is
// added to a weight (with gradients: at most three layers without bias), else one product a layer and a concatenation. x: [..., in].
torch::Tensor run_together(std::initializer_list<Linear> layers, const torch::Tensor& x);

}  // namespace tessera::nn
