#pragma once
// What recurrent models of equal blocks share: the pass through all blocks, and taking some out.

#include <torch/torch.h>

#include <set>
#include <vector>

#include "tessera/base/error.h"

namespace tessera::nn {

// x: [B, T, D] through every block, with its state when `states` is given; an empty vector is filled with fresh ones, else it holds one a
// block (InputError).
template <class Block, class State>
torch::Tensor through_blocks(torch::Tensor x, std::vector<Block>& blocks, std::vector<State>* states) {
  if (states != nullptr && states->empty()) states->resize(blocks.size());
  if (states != nullptr && states->size() != blocks.size()) {
    throw InputError("{} states for a model of {} blocks; start from an empty vector", states->size(), blocks.size());
  }
  for (size_t i = 0; i < blocks.size(); ++i) x = blocks[i]->forward(x, states != nullptr ? &(*states)[i] : nullptr);
  return x;
}

// The blocks without those at `indices`, in order. Throws InputError on an index out of range or repeated, and when none would be left.
template <class Block>
std::vector<Block> without_blocks(const std::vector<Block>& blocks, const std::vector<int64_t>& indices) {
  const auto depth = static_cast<int64_t>(blocks.size());
  std::set<int64_t> gone;
  for (int64_t index : indices) {
    if (index < 0 || index >= depth) throw InputError("block {} of a model of {}; give 0 to {}", index, depth, depth - 1);
    if (!gone.insert(index).second) throw InputError("block {} is named twice; name each block once", index);
  }
  if (static_cast<int64_t>(gone.size()) >= depth) throw InputError("all {} blocks would go; leave at least one", depth);
  std::vector<Block> kept;
  for (int64_t i = 0; i < depth; ++i) {
    if (!gone.contains(i)) kept.push_back(blocks[static_cast<size_t>(i)]);
  }
  return kept;
}

}  // namespace tessera::nn
