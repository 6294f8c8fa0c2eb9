// Steps of the 8.5M Llama (width 256, 8 layers, vocabulary 8192, 8 rows of 256 tokens) on as many ranks as started this, with THREADS each:
//   train_ranks THREADS STEPS
// Rank 0 prints the tokens a second of the steps after the first two. bench/parallel.py compares numbers of ranks.

#include <chrono>
#include <cstdio>

#include "tessera/kernels/process.h"
#include "tessera/lm/model.h"
#include "tessera/train/language.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/trainer.h"

using namespace tessera;

namespace {

lm::Transformer llama() {
  lm::Transformer model(lm::fresh_config({{"model_type", "llama"},
                                          {"vocab_size", 8192},
                                          {"hidden_size", 256},
                                          {"intermediate_size", 688},
                                          {"num_hidden_layers", 8},
                                          {"num_attention_heads", 8},
                                          {"num_key_value_heads", 8},
                                          {"max_position_embeddings", 256},
                                          {"tie_word_embeddings", true}}));
  lm::init_weights(model, 1);
  for (auto& item : model->named_parameters()) item.value().requires_grad_(true);
  return model;
}

train::Task task(const lm::Transformer& model, int64_t rows) {
  train::Task made;
  made.parameters = train::language_parameters(model, 0.1);
  made.micro_batches = [](int64_t) { return int64_t{1}; };
  made.batch = [=](int64_t, int64_t) {
    const auto tokens = torch::randint(0, 8192, {rows, 257}, torch::kInt64);
    const train::LanguageRows given{tokens.narrow(1, 0, 256).contiguous(), tokens.narrow(1, 1, 256).contiguous(), {}};
    return train::Batch{.counted = rows * 256, .tokens = rows * 256, .loss = [=] { return train::language_loss(model, given, false); }};
  };
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: train_ranks THREADS STEPS\n"), 2;
  const auto ranks = train::join({});
  kernels::set_up_process(std::atoi(argv[1]));
  const auto model = llama();
  train::Trainer trainer(task(model, 8 / ranks->size()),
                         {.optimizer = [](auto all) { return train::make_optimizer({.name = "adamw"}, std::move(all)); },
                          .schedule = {.peak = 1e-3, .total = int64_t{1} << 40},
                          .ranks = ranks});
  const int steps = std::atoi(argv[2]);
  for (int i = 0; i < 2; ++i) trainer.step();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < steps; ++i) trainer.step();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (ranks->rank() == 0) std::printf("%.1f\n", steps * 2048 / seconds);
  ranks->leave();
}
