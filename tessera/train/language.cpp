#include "tessera/train/language.h"

#include <cmath>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/lm/load.h"
#include "tessera/train/head_loss.h"
#include "tessera/train/recompute.h"

namespace tessera::train {

namespace {

int64_t stage_steps(const LanguageOptions& options, const Stage& stage) { return (stage.tokens + options.batch - 1) / options.batch; }

LanguageRows stack_rows(const std::vector<TokenRow>& rows, size_t begin, size_t end, bool documents) {
  const auto stacked = [&](std::vector<int64_t> TokenRow::*part) {
    const auto length = static_cast<int64_t>((rows[begin].*part).size());
    auto all = torch::empty({static_cast<int64_t>(end - begin), length}, torch::kInt64);
    for (size_t r = begin; r < end; ++r)
      std::copy((rows[r].*part).begin(), (rows[r].*part).end(), all.data_ptr<int64_t>() + static_cast<int64_t>(r - begin) * length);
    return all;
  };
  return {stacked(&TokenRow::tokens), stacked(&TokenRow::targets), documents ? stacked(&TokenRow::documents) : torch::Tensor()};
}

// The batches of one run: rows are drawn when the first micro-batch of a step is asked for.
class LanguageBatches {
 public:
  LanguageBatches(lm::Transformer model, std::shared_ptr<MixedTokens> corpora, const LanguageOptions& options)
      : model_(std::move(model)), corpora_(std::move(corpora)), options_(options) {
    for (auto& stage : options_.stages) {
      if (!stage.weights.empty()) continue;
      for (size_t i = 0; i < corpora_->corpora(); ++i) stage.weights.push_back(static_cast<double>(corpora_->tokens(i)));
    }
  }

  int64_t micro_rows(int64_t step) const { return options_.micro > 0 ? std::min(options_.micro, own_rows(step)) : own_rows(step); }
  int64_t micro_batches(int64_t step) const { return (own_rows(step) + micro_rows(step) - 1) / micro_rows(step); }

  Batch batch(int64_t step, int64_t micro) {
    const auto& stage = options_.stages[stage_of(options_, step)];
    if (micro == 0) {
      rows_.clear();
      draw_rows(step, stage);
    }
    const auto begin = static_cast<size_t>(micro * micro_rows(step));
    const auto end = std::min(rows_.size(), begin + static_cast<size_t>(micro_rows(step)));
    const auto rows = stack_rows(rows_, begin, end, options_.mask_documents);
    return {.counted = rows.targets.ge(0).sum().item<int64_t>(), .tokens = rows.tokens.numel(), .loss = [this, rows] {
              return language_loss(model_, rows, options_.recompute, options_.z_loss);
            }};
  }

  MixedTokens& corpora() { return *corpora_; }

 private:
  // All ranks pass over all rows, so that positions are the same everywhere and a job may resume on another number of ranks.
  void draw_rows(int64_t step, const Stage& stage) {
    for (int64_t r = 0; r < rows_of(step); ++r) {
      if (r % options_.ranks == options_.rank) {
        rows_.push_back(corpora_->next(stage.length, stage.weights));
      } else {
        corpora_->skip(stage.length, stage.weights);
      }
    }
  }
  int64_t own_rows(int64_t step) const { return (rows_of(step) - options_.rank + options_.ranks - 1) / options_.ranks; }
  int64_t rows_of(int64_t step) const { return options_.batch / options_.stages[stage_of(options_, step)].length; }

  lm::Transformer model_;
  std::shared_ptr<MixedTokens> corpora_;
  LanguageOptions options_;
  std::vector<TokenRow> rows_;  // of the present step
};

// Mean loss over rows taken from the start of every held-out corpus in turn.
Figures evaluate_language(lm::Transformer model, const std::vector<TokenCache>& held_out, int64_t length, int64_t most) {
  torch::NoGradGuard no_grad;
  double nats = 0.0;
  int64_t counted = 0, rows = 0;
  for (const auto& cache : held_out) {
    for (int64_t at = 0; at + 1 < cache.tokens() && rows < most; at += length, ++rows) {
      const int64_t n = std::min(length, cache.tokens() - 1 - at);
      auto tokens = torch::empty({1, n}, torch::kInt64), targets = torch::empty({1, n}, torch::kInt64);
      for (int64_t i = 0; i < n; ++i) {
        tokens.data_ptr<int64_t>()[i] = cache.token(at + i);
        targets.data_ptr<int64_t>()[i] = cache.token(at + i + 1);
      }
      const auto hidden = model->hidden(tokens.to(model->device()));
      nats += model->losses(hidden, targets.to(model->device())).sum(torch::kFloat64).item<double>();
      counted += n;
    }
  }
  if (counted == 0) return {};
  const double mean = nats / static_cast<double>(counted);
  return {{"eval/loss", mean}, {"eval/perplexity", std::exp(mean)}};
}

}  // namespace

torch::Tensor head_weight(const lm::Transformer& model) {
  if (model->config().tied_head) return model->embed_tokens;
  return *model->named_parameters().find("lm_head.weight");
}

void read_in_place(lm::Transformer model, const std::filesystem::path& folder) {
  torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> places;
  for (const auto& item : model->named_parameters()) places.push_back(item.value().detach());
  lm::load_weights(model, folder);
  size_t i = 0;
  for (auto& item : model->named_parameters()) {
    places[i].copy_(item.value());
    item.value().set_data(places[i++]);
  }
}

void check_stages(const LanguageOptions& options, const lm::ModelConfig& config) {
  if (options.stages.empty()) throw InputError("there is no stage to train; give tokens and a length");
  if (options.batch < 1) throw InputError("a batch of {} tokens; give 1 or more", options.batch);
  for (const auto& stage : options.stages) {
    if (stage.tokens < 1 || stage.length < 1)
      throw InputError("a stage of {} tokens in rows of {}; give 1 or more of each", stage.tokens, stage.length);
    if (options.batch % stage.length != 0)
      throw InputError("a batch of {} tokens cannot hold whole rows of {}; give a multiple of {}", options.batch, stage.length,
                       stage.length);
    if (options.batch / stage.length < options.ranks)
      throw InputError("a batch of {} rows for {} ranks; give a larger --batch, or fewer ranks", options.batch / stage.length,
                       options.ranks);
    if (config.learned_positions && stage.length > config.max_positions)
      throw InputError("rows of {} tokens, and the model knows {} positions; give shorter rows", stage.length, config.max_positions);
  }
}

int64_t steps_of(const LanguageOptions& options) {
  int64_t steps = 0;
  for (const auto& stage : options.stages) steps += stage_steps(options, stage);
  return steps;
}

size_t stage_of(const LanguageOptions& options, int64_t step) {
  int64_t last = 0;
  for (size_t i = 0; i < options.stages.size(); ++i) {
    last += stage_steps(options, options.stages[i]);
    if (step <= last) return i;
  }
  return options.stages.size() - 1;
}

torch::Tensor language_loss(const lm::Transformer& given, const LanguageRows& rows, bool recompute, double z_loss) {
  auto model = given;
  const auto tokens = rows.tokens.to(model->device()), targets = rows.targets.to(model->device());
  const auto documents = rows.documents.defined() ? rows.documents.to(model->device()) : rows.documents;
  const auto pass = std::make_shared<lm::Pass>(model->start(tokens, {.documents = documents}));
  auto x = model->embed(tokens, *pass);
  for (int64_t i = 0; i < model->depth(); ++i) {
    auto block = model->block(i);
    if (recompute) {
      x = recomputed([block, pass, i](const torch::Tensor& stream) mutable { return block->forward(stream, *pass, i); }, x);
    } else {
      x = block->forward(x, *pass, i);
    }
  }
  const auto normed = model->final_norm(x);
  return head_loss(normed.reshape({-1, normed.size(-1)}), head_weight(model), targets.reshape({-1}), {.z_loss = z_loss});
}

std::vector<Parameter> language_parameters(const lm::Transformer& model, double weight_decay) {
  std::vector<Parameter> all;
  for (const auto& item : model->named_parameters()) {
    if (!item.value().requires_grad()) continue;
    const bool matrix = item.value().dim() == 2 && item.key().find(".layers.") != std::string::npos;
    all.push_back(
        {.name = item.key(), .value = item.value(), .lr_scale = 1.0, .weight_decay = matrix ? weight_decay : 0.0, .matrix = matrix});
  }
  return all;
}

Task language_task(lm::Transformer model, std::shared_ptr<MixedTokens> corpora, std::vector<TokenCache> held_out,
                   const LanguageOptions& options, std::function<void(const std::filesystem::path&)> write) {
  check_stages(options, model->config());
  const auto batches = std::make_shared<LanguageBatches>(model, std::move(corpora), options);
  Task task;
  task.parameters = language_parameters(model, options.weight_decay);
  task.micro_batches = [batches](int64_t step) { return batches->micro_batches(step); };
  task.batch = [batches](int64_t step, int64_t micro) { return batches->batch(step, micro); };
  task.position = [batches] { return batches->corpora().position(); };
  task.seek = [batches](const nlohmann::ordered_json& position) { batches->corpora().seek(position); };
  task.write_model = std::move(write);
  task.read_model = [model](const std::filesystem::path& folder) { read_in_place(model, folder); };
  if (!held_out.empty()) {
    task.evaluate = [model, held_out = std::move(held_out), length = options.stages.back().length, rows = options.eval_rows] {
      return evaluate_language(model, held_out, length, rows);
    };
  }
  return task;
}

}  // namespace tessera::train
