#include "tessera/lm/generate.h"

#include <chrono>

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/text/stream_decode.h"

namespace tessera::lm {

std::string_view finish_name(FinishReason reason) {
  return reason == FinishReason::stop ? "stop" : reason == FinishReason::length ? "length" : "interrupted";
}

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// One sequence of the batch while it runs.
struct Sequence {
  Generation* result;
  std::vector<int64_t> present;  // prompt and answer, for the repetition penalty
  RandomStream random;
  std::optional<text::StreamDecoder> text;  // none without a tokenizer
  int64_t number;
};

// One call of generate: prompts, the batch's cache, the sequences that still run (row r of the cache belongs to running[r]).
class Generator {
 public:
  Generator(Transformer& model, const GenerateOptions& options, const text::Tokenizer* tokenizer, const OnToken& on_token)
      : model_(model), options_(options), tokenizer_(tokenizer), on_token_(on_token) {}

  GenerationResult run(const std::vector<std::vector<int64_t>>& prompts);

 private:
  void check(const std::vector<std::vector<int64_t>>& prompts) const;
  torch::Tensor prefill(const std::vector<std::vector<int64_t>>& prompts);
  int64_t reuse_cache(const std::vector<int64_t>& prompt);
  torch::Tensor pass(const torch::Tensor& ids, const torch::Tensor& mask, bool decoding);
  void draw(const torch::Tensor& logits);
  bool take(Sequence& sequence, int64_t id);
  torch::Tensor keep_running(const std::vector<bool>& goes_on);

  Transformer& model_;
  const GenerateOptions& options_;
  const text::Tokenizer* tokenizer_;
  const OnToken& on_token_;
  nn::KvCache own_cache_;
  nn::KvCache* cache_ = nullptr;
  std::vector<Sequence> running_;
  torch::Tensor next_;  // [running, 1] ids to pass next
};

void Generator::check(const std::vector<std::vector<int64_t>>& prompts) const {
  const auto& config = model_->config();
  if (options_.max_tokens < 0) throw InputError("{} tokens to generate; expected 0 or more", options_.max_tokens);
  if (options_.prefill_chunk < 1) throw InputError("a prefill chunk of {} tokens; expected 1 or more", options_.prefill_chunk);
  if (options_.cache != nullptr && prompts.size() != 1) throw InputError("a kept cache serves one prompt; given {}", prompts.size());
  if (!options_.stop.empty() && tokenizer_ == nullptr) throw InputError("stop strings need a tokenizer; stop at token ids instead");
  for (const auto& prompt : prompts) {
    const auto length = static_cast<int64_t>(prompt.size());
    if (length == 0) throw InputError("the prompt is empty; give at least one token");
    if (length > config.max_positions - options_.max_tokens) {
      throw InputError("the prompt has {} tokens and {} are to follow; the model's context is {}; shorten the prompt or ask for fewer",
                       length, options_.max_tokens, config.max_positions);
    }
    for (const int64_t id : prompt) {
      if (id < 0 || id >= config.vocab)
        throw InputError("token id {} is outside the vocabulary of {}; use this model's own tokenizer", id, config.vocab);
    }
  }
}

// How many tokens of the prompt the kept cache already holds; at least one is left to pass.
int64_t Generator::reuse_cache(const std::vector<int64_t>& prompt) {
  cache_ = options_.cache;
  if (cache_->slots.empty()) *cache_ = model_->new_cache();
  const auto usable = std::min(cache_->length, static_cast<int64_t>(prompt.size()) - 1);
  if (cache_->length > usable && !cache_->rewind(usable)) *cache_ = model_->new_cache();
  return cache_->length;
}

// Final hidden state of the last of `ids`, as logits [B, V].
torch::Tensor Generator::pass(const torch::Tensor& ids, const torch::Tensor& mask, bool decoding) {
  PassOptions options{.mask = mask, .positions = {}, .documents = {}, .cache = cache_, .skip = {}};
  if (!decoding || !options_.skip.store_kv) options.skip = options_.skip;
  auto pass = model_->start(ids, options);
  auto x = model_->embed(ids, pass);
  for (int64_t i = 0; i < model_->depth(); ++i) x = model_->block(i)->forward(x, pass, i);
  model_->finish(pass, ids.size(1));
  return model_->logits(model_->final_norm(x.select(1, x.size(1) - 1)));
}

// Passes the prompts, padded on the left to one length, a chunk at a time.
torch::Tensor Generator::prefill(const std::vector<std::vector<int64_t>>& prompts) {
  int64_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, static_cast<int64_t>(prompt.size()));
  auto ids = torch::zeros({static_cast<int64_t>(prompts.size()), longest}, torch::kInt64);
  auto mask = torch::zeros(ids.sizes(), torch::kBool);
  for (size_t b = 0; b < prompts.size(); ++b) {
    const auto length = static_cast<int64_t>(prompts[b].size());
    ids[static_cast<int64_t>(b)].narrow(0, longest - length, length).copy_(torch::tensor(prompts[b], torch::kInt64));
    mask[static_cast<int64_t>(b)].narrow(0, longest - length, length).fill_(true);
  }
  int64_t begin = 0;
  if (options_.cache != nullptr) {
    begin = reuse_cache(prompts[0]);
  } else {
    own_cache_ = model_->new_cache();
    cache_ = &own_cache_;
  }
  const bool padded = !mask.all().item<bool>(), single = longest - begin == 1;
  torch::Tensor logits;
  for (int64_t at = begin; at < longest; at += options_.prefill_chunk) {
    const int64_t n = std::min(options_.prefill_chunk, longest - at);
    const auto part = padded ? mask.narrow(1, at, n).to(model_->device()) : torch::Tensor();
    logits = pass(ids.narrow(1, at, n).to(model_->device()), part, single);
  }
  return logits;
}

// Records a token; false when it is the sequence's last.
bool Generator::take(Sequence& sequence, int64_t id) {
  auto& result = *sequence.result;
  result.ids.push_back(id);
  sequence.present.push_back(id);
  auto& text = sequence.text;
  const bool ends = std::find(options_.end_ids.begin(), options_.end_ids.end(), id) != options_.end_ids.end();
  auto fresh = ends || !text ? std::string() : text->push(static_cast<text::TokenId>(id));
  const bool stops = ends || (text && text->stopped()), full = static_cast<int64_t>(result.ids.size()) >= options_.max_tokens;
  const bool last = stops || full;
  if (last && text) fresh += text->finish();
  if (last) result.finish = stops ? FinishReason::stop : FinishReason::length;
  result.text += fresh;
  if (on_token_ && !on_token_({.sequence = sequence.number, .id = id, .text = std::move(fresh), .last = last}) && !last) {
    if (text) result.text += text->finish();
    result.finish = FinishReason::interrupted;
    return false;
  }
  return !last;
}

// Drops the sequences that ended, from the batch and from the cache; returns the rows that stay.
torch::Tensor Generator::keep_running(const std::vector<bool>& goes_on) {
  std::vector<int64_t> rows;
  std::vector<Sequence> still;
  for (size_t r = 0; r < running_.size(); ++r) {
    if (!goes_on[r]) continue;
    rows.push_back(static_cast<int64_t>(r));
    still.push_back(std::move(running_[r]));
  }
  auto kept = torch::tensor(rows, torch::kInt64).to(model_->device());
  if (rows.size() < running_.size() && !rows.empty()) cache_->select(kept);
  running_ = std::move(still);
  return kept;
}

// One token for every running sequence from logits [running, V].
void Generator::draw(const torch::Tensor& logits) {
  const auto rows = logits.to(torch::kCPU, torch::kFloat32);
  std::vector<bool> goes_on;
  std::vector<int64_t> ids;
  for (size_t r = 0; r < running_.size(); ++r) {
    auto& sequence = running_[r];
    const int64_t id = sample_token(rows[static_cast<int64_t>(r)], options_.sampling, sequence.present, sequence.random.uniform());
    goes_on.push_back(take(sequence, id));
    if (goes_on.back()) ids.push_back(id);
  }
  keep_running(goes_on);
  next_ = torch::tensor(ids, torch::kInt64).unsqueeze(1).to(model_->device());
}

GenerationResult Generator::run(const std::vector<std::vector<int64_t>>& prompts) {
  check(prompts);
  torch::InferenceMode inference;
  GenerationResult result;
  result.sequences.resize(prompts.size());
  for (size_t b = 0; b < prompts.size(); ++b) {
    result.sequences[b].prompt_tokens = static_cast<int64_t>(prompts[b].size());
    result.timings.prompt_tokens += result.sequences[b].prompt_tokens;
    running_.push_back({.result = &result.sequences[b],
                        .present = prompts[b],
                        .random = RandomStream(options_.sampling.seed, fmt::format("sample/{}", b)),
                        .text = {},
                        .number = static_cast<int64_t>(b)});
    if (tokenizer_ != nullptr) running_.back().text.emplace(*tokenizer_, text::StreamOptions{.stop = options_.stop});
  }
  if (prompts.empty() || options_.max_tokens == 0) return result;
  auto begin = Clock::now();
  draw(prefill(prompts));
  result.timings.prompt_s = seconds_since(begin);
  begin = Clock::now();
  while (!running_.empty()) draw(pass(next_, {}, true));
  result.timings.decode_s = seconds_since(begin);
  for (const auto& sequence : result.sequences) result.timings.decoded_tokens += static_cast<int64_t>(sequence.ids.size()) - 1;
  return result;
}

}  // namespace

GenerationResult generate(Transformer& model, const std::vector<std::vector<int64_t>>& prompts, const GenerateOptions& options,
                          const text::Tokenizer* tokenizer, const OnToken& on_token) {
  return Generator(model, options, tokenizer, on_token).run(prompts);
}

}  // namespace tessera::lm
