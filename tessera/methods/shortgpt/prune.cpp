#include "tessera/methods/shortgpt/prune.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "tessera/base/error.h"

namespace tessera::shortgpt {
namespace {

int64_t read_index(std::string_view text, const std::string& whole, int64_t depth, const std::string& option) {
  int64_t value = -1;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) {
    throw InputError("{} {}: {} is no layer; give indices and ranges such as 21-29,3", option, tessera::quoted(whole),
                     tessera::quoted(text));
  }
  if (value < 0 || value >= depth) {
    throw InputError("{} {}: the model has {} layers and no layer {}; give 0 to {}", option, tessera::quoted(whole), depth, value,
                     depth - 1);
  }
  return value;
}

void zero_output(nn::Linear& output) {
  output->weight.zero_();
  if (output->bias.defined()) output->bias.zero_();
}

}  // namespace

std::vector<int64_t> parse_layers(const std::string& text, int64_t depth, const std::string& option) {
  std::vector<int64_t> layers;
  std::set<int64_t> seen;
  const std::string_view all = text;
  for (size_t begin = 0; begin <= all.size();) {
    const size_t comma = std::min(all.find(',', begin), all.size());
    const auto part = all.substr(begin, comma - begin);
    const size_t dash = part.find('-');
    const int64_t first = read_index(part.substr(0, std::min(dash, part.size())), text, depth, option);
    const int64_t last = dash == std::string_view::npos ? first : read_index(part.substr(dash + 1), text, depth, option);
    if (last < first) throw InputError("{} {}: {} runs backwards; write {}-{}", option, tessera::quoted(text), part, last, first);
    for (int64_t i = first; i <= last; ++i) {
      if (!seen.insert(i).second) throw InputError("{} {}: layer {} is named twice; name it once", option, tessera::quoted(text), i);
      layers.push_back(i);
    }
    begin = comma + 1;
  }
  return layers;
}

int64_t count_for_ratio(const lm::ModelConfig& config, const std::vector<int64_t>& order, double ratio) {
  const auto total = static_cast<double>(lm::parameter_count(config));
  double removed = 0, nearest = ratio;
  int64_t count = 0;
  for (int64_t n = 1; n < static_cast<int64_t>(order.size()); ++n) {
    removed += static_cast<double>(lm::block_parameter_count(config, order[static_cast<size_t>(n - 1)]));
    const double distance = std::abs(removed / total - ratio);
    if (distance >= nearest) break;
    nearest = distance;
    count = n;
  }
  return count;
}

void remove(lm::Transformer& model, const Removal& removal) {
  torch::NoGradGuard no_gradient;
  const auto zero = [&](const std::vector<int64_t>& blocks, const char* key, auto output_of) {
    for (int64_t index : blocks) {
      if (index < 0 || index >= model->depth()) {
        throw InputError("layer {} of a model of {} layers; give 0 to {}", index, model->depth(), model->depth() - 1);
      }
      if (std::find(removal.blocks.begin(), removal.blocks.end(), index) != removal.blocks.end()) {
        throw InputError("layer {} is removed whole and in part; name it once", index);
      }
      auto block = model->block(index);
      nn::Linear* output = output_of(block);
      if (output == nullptr) throw InputError("layer {} has no {} branch; choose another layer", index, key);
      zero_output(*output);
    }
  };
  zero(removal.attention, "attention", [](lm::Block& b) { return b->self_attn ? &b->self_attn->o_proj : nullptr; });
  zero(removal.ffn, "FFN", [](lm::Block& b) { return b->mlp ? &b->mlp->down_proj : nullptr; });
  if (!removal.blocks.empty()) model->remove_blocks(removal.blocks);
}

lm::Skip skip_of(const Removal& removal) {
  auto skip = lm::Skip::blocks(removal.blocks);
  const auto mark = [](std::vector<bool>& flags, const std::vector<int64_t>& blocks) {
    for (int64_t index : blocks) {
      if (index >= static_cast<int64_t>(flags.size())) flags.resize(static_cast<size_t>(index) + 1);
      flags[static_cast<size_t>(index)] = true;
    }
  };
  mark(skip.attention, removal.attention);
  mark(skip.ffn, removal.ffn);
  return skip;
}

Size size_of(const lm::ModelConfig& config, int64_t element) {
  const int64_t parameters = lm::parameter_count(config);
  return {.layers = config.depth(),
          .parameters = parameters,
          .bytes = parameters * element,
          .kv_bytes_per_token = lm::kv_bytes_per_token(config, element)};
}

}  // namespace tessera::shortgpt
