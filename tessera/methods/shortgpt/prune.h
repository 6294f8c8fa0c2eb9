#pragma once
// Removal: which layers go, what that saves, and the model without them (ShortGPT, section 2.4).

#include <string>
#include <vector>

#include "tessera/lm/model.h"

namespace tessera::shortgpt {

// What is taken out of a Transformer. A whole block disappears; of a branch alone only the output matrix becomes zero, so that the folder
// loads in any software: the residual passes, the bytes stay.
struct Removal {
  std::vector<int64_t> blocks, attention, ffn;  // block indices
};

// "21-29,3" as indices in the order written. Throws InputError, starting with `option`, for what is no range, out of 0 to depth - 1, or
// named twice.
std::vector<int64_t> parse_layers(const std::string& text, int64_t depth, const std::string& option);

// How many of the first layers in `order` hold the share of the model's parameters that is nearest to `ratio`: 0 to depth - 1.
int64_t count_for_ratio(const lm::ModelConfig& config, const std::vector<int64_t>& order, double ratio);

// Takes the removal out of the model in memory. Throws InputError as Transformer::remove_blocks, and for a branch of a block that goes.
void remove(lm::Transformer& model, const Removal& removal);

// The same as circumstances of a pass of the whole model: equal logits to the last bit.
lm::Skip skip_of(const Removal& removal);

struct Size {
  int64_t layers = 0, parameters = 0, bytes = 0, kv_bytes_per_token = 0;
};
// `element`: bytes a number in the file and the cache. Zeroed branches still count.
Size size_of(const lm::ModelConfig& config, int64_t element);

}  // namespace tessera::shortgpt
