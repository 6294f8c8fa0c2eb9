#include "tessera/eval/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "tessera/base/error.h"
#include "tessera/data/packing.h"

namespace tessera::eval {
namespace {

constexpr int64_t tokens_a_pass = 1024;

// The windows [begin, end) of one length as a [B, T] int64 tensor.
torch::Tensor stack_windows(std::span<const int32_t> ids, std::span<const data::Span> windows) {
  const int64_t length = windows.front().end - windows.front().begin;
  auto batch = torch::empty({static_cast<int64_t>(windows.size()), length}, torch::kInt64);
  auto* out = batch.data_ptr<int64_t>();
  for (const data::Span& window : windows) out = std::copy(ids.begin() + window.begin, ids.begin() + window.end, out);
  return batch;
}

// Sum of nats over the scored tokens of each row of `batch`: [B] float64.
torch::Tensor row_nats(lm::Transformer& model, const torch::Tensor& batch, const lm::Skip& skip) {
  lm::PassOptions options;
  options.skip = skip;
  const auto on_device = batch.to(model->device());
  const auto hidden = model->hidden(on_device, options).slice(1, 0, batch.size(1) - 1);
  return model->losses(hidden, on_device.slice(1, 1)).to(torch::kCPU, torch::kFloat64).sum(1);
}

}  // namespace

Perplexity perplexity(lm::Transformer& model, std::span<const int32_t> ids, const PerplexityOptions& options) {
  const auto windows = data::disjoint_windows(static_cast<int64_t>(ids.size()), options.window, options.windows);
  if (windows.empty())
    throw InputError("the text has {} tokens, too few to score: the first of a window is context only; give a longer text", ids.size());
  const auto begin = std::chrono::steady_clock::now();
  const torch::NoGradGuard no_gradient;
  Perplexity result;
  result.window = options.window;
  double nats = 0;
  const auto batch_size = static_cast<size_t>(options.batch > 0 ? options.batch : std::max<int64_t>(1, tokens_a_pass / options.window));
  for (size_t at = 0; at < windows.size();) {
    size_t end = at + 1;  // a batch holds windows of one length: the last, shorter one goes alone
    const auto length = [&](size_t i) { return windows[i].end - windows[i].begin; };
    while (end < windows.size() && end - at < batch_size && length(end) == length(at)) ++end;
    const auto sums = row_nats(model, stack_windows(ids, std::span(windows).subspan(at, end - at)), options.skip);
    for (size_t i = at; i < end; ++i) {
      const double sum = sums.data_ptr<double>()[i - at];
      nats += sum;
      result.tokens += length(i) - 1;
      result.window_tokens.push_back(length(i) - 1);
      result.window_nats.push_back(sum / static_cast<double>(length(i) - 1));
    }
    at = end;
    result.nats_per_token = nats / static_cast<double>(result.tokens);
    result.perplexity = std::exp(result.nats_per_token);
    if (options.progress && !options.progress(static_cast<int64_t>(at), static_cast<int64_t>(windows.size()), result.perplexity)) break;
  }
  result.windows = static_cast<int64_t>(result.window_nats.size());
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.tokens_per_second = static_cast<double>(result.tokens) / result.seconds;
  return result;
}

nlohmann::ordered_json to_json(const Perplexity& result) {
  return {{"perplexity", result.perplexity}, {"nats_per_token", result.nats_per_token},       {"tokens", result.tokens},
          {"seconds", result.seconds},       {"tokens_per_second", result.tokens_per_second}, {"window", result.window},
          {"windows", result.windows}};
}

}  // namespace tessera::eval
