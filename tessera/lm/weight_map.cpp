#include "tessera/lm/weight_map.h"

#include "tessera/base/error.h"

namespace tessera::lm {

// Rows of each head reordered: from alternating halves (GGUF's Llama) to one half after the other, or back. Works on biases too.
static torch::Tensor reorder_heads(const torch::Tensor& t, int64_t heads, bool to_halves) {
  const int64_t rows = t.size(0);
  if (rows % (2 * heads) != 0) throw InputError("a tensor of {} rows cannot hold {} heads of even width", rows, heads);
  const int64_t half = rows / heads / 2, columns = t.dim() > 1 ? t.size(1) : 1;
  const auto split = to_halves ? t.reshape({heads, half, 2, columns}) : t.reshape({heads, 2, half, columns});
  return split.transpose(1, 2).reshape(t.sizes());
}

torch::Tensor from_stored(const torch::Tensor& tensor, const StoredAs& stored) {
  auto t = stored.transposed ? tensor.t() : tensor;
  if (stored.parts > 1) {
    if (t.size(0) % stored.parts != 0)
      throw InputError("{} has {} rows; expected a multiple of {}", tessera::quoted(stored.name, 120), t.size(0), stored.parts);
    const int64_t rows = t.size(0) / stored.parts;
    t = t.narrow(0, stored.part * rows, rows);
  }
  if (stored.interleaved_heads > 0) t = reorder_heads(t, stored.interleaved_heads, true);
  if (stored.add != 0.0) t = (t.to(torch::kFloat32) - stored.add).to(t.dtype());
  return t;
}

torch::Tensor to_stored(const torch::Tensor& parameter, const StoredAs& stored) {
  auto t = parameter;
  if (stored.add != 0.0) t = t.to(torch::kFloat32) + stored.add;  // in float32, so that bfloat16 gains lose nothing
  if (stored.interleaved_heads > 0) t = reorder_heads(t, stored.interleaved_heads, false);
  return stored.transposed ? t.t() : t;
}

tensor::NamedTensors stored_tensors(const Transformer& model, const std::function<StoredAs(const std::string&)>& name) {
  torch::NoGradGuard no_grad;
  tensor::NamedTensors result;
  std::map<std::string, std::vector<torch::Tensor>> parts;  // by the file's name, in the order of the parts
  for (const auto& parameter : model->named_parameters()) {
    const auto stored = name(parameter.key());
    auto t = to_stored(parameter.value().detach(), stored);
    if (stored.parts == 1) {
      result.emplace_back(stored.name, std::move(t));
      continue;
    }
    auto& sides = parts[stored.name];
    sides.resize(stored.parts);
    sides[stored.part] = std::move(t);
    const bool whole = std::all_of(sides.begin(), sides.end(), [](const auto& side) { return side.defined(); });
    if (whole) result.emplace_back(stored.name, torch::cat(sides, stored.transposed ? 1 : 0));
  }
  return result;
}

}  // namespace tessera::lm
