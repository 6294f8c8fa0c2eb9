#include "tessera/train/adapters.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/train/lora.h"
#include "tessera/train/low_rank.h"

namespace tessera::train {

namespace fs = std::filesystem;

static const char* word_of(Weights weights) {
  switch (weights) {
    case Weights::full:
      return "full";
    case Weights::lora:
      return "lora";
    case Weights::low_rank:
      return "low-rank";
    case Weights::relora:
      break;
  }
  return "relora";
}

void check_adapters(const AdapterOptions& o) {
  const auto refuse = [&](const char* name, bool given, std::initializer_list<Weights> takers) {
    if (!given || std::find(takers.begin(), takers.end(), o.weights) != takers.end()) return;
    std::string words;
    for (const auto taker : takers) words += (words.empty() ? "" : " or ") + std::string(word_of(taker));
    throw InputError("--{} says nothing to --weights {}; give --weights {}, or leave it out", name, word_of(o.weights), words);
  };
  constexpr auto lora = Weights::lora, low = Weights::low_rank, relora = Weights::relora;
  refuse("lora-rank", o.lora_rank.has_value(), {lora, low, relora});
  refuse("lora-alpha", o.lora_alpha.has_value(), {lora, relora});
  refuse("lora-targets", !o.lora_targets.empty(), {lora, low, relora});
  refuse("lora-rest", o.lora_rest.has_value(), {lora, low, relora});
  refuse("restart-every", o.restart_every.has_value(), {relora});
  refuse("restart-warmup", o.restart_warmup.has_value(), {relora});
  refuse("restart-keep", o.restart_keep.has_value(), {relora});
  if (o.lora_rank && *o.lora_rank < 1) throw InputError("--lora-rank {}: factors have at least one column; give 1 or more", *o.lora_rank);
  if (o.lora_alpha && !(*o.lora_alpha > 0.0))
    throw InputError("--lora-alpha {}: expected a positive number; give twice the rank", *o.lora_alpha);
  if (o.restart_every && *o.restart_every < 2) throw InputError("--restart-every {}: expected 2 steps or more", *o.restart_every);
  if (o.restart_warmup && *o.restart_warmup < 0) throw InputError("--restart-warmup {}: expected 0 steps or more", *o.restart_warmup);
  if (o.restart_every && o.restart_warmup && *o.restart_warmup >= *o.restart_every)
    throw InputError("--restart-warmup {}: the rate would rise for a whole cycle of {} steps; give less", *o.restart_warmup,
                     *o.restart_every);
  if (o.restart_keep && !(*o.restart_keep >= 0.0 && *o.restart_keep <= 1.0))
    throw InputError("--restart-keep {}: expected a share; give 0 to 1", *o.restart_keep);
}

AdapterOptions filled_adapters(const AdapterOptions& options, const lm::ModelConfig& config, int64_t steps, bool fresh) {
  auto o = options;
  if (o.weights == Weights::full) return o;
  if (!o.lora_rank) o.lora_rank = o.weights == Weights::lora ? 8 : std::max<int64_t>(1, config.width / 4);
  const auto rank = static_cast<double>(*o.lora_rank);
  if (!o.lora_alpha) o.lora_alpha = o.weights == Weights::lora ? 2.0 * rank : o.weights == Weights::relora ? rank / 4.0 : rank;
  if (!o.lora_rest) o.lora_rest = o.weights == Weights::lora && !fresh ? Rest::frozen : Rest::trained;
  if (o.weights != Weights::relora) return o;
  if (!o.restart_every) o.restart_every = std::max<int64_t>(2, steps / 4);
  if (!o.restart_warmup) o.restart_warmup = std::min<int64_t>(100, *o.restart_every / 2);
  if (!o.restart_keep) o.restart_keep = 0.01;
  return o;
}

bool is_plain_lora(const AdapterOptions& filled) { return filled.weights == Weights::lora && filled.lora_rest == Rest::frozen; }

void adapt(lm::Transformer& model, const AdapterOptions& filled, uint64_t seed, Touch touch) {
  if (filled.weights == Weights::full) return;
  if (filled.weights == Weights::low_rank && touch == Touch::weights) {
    make_low_rank(*model, {.rank = *filled.lora_rank, .targets = filled.lora_targets, .seed = seed});
  } else {
    add_lora(*model, {.rank = *filled.lora_rank, .alpha = *filled.lora_alpha, .targets = filled.lora_targets, .seed = seed});
  }
  if (filled.lora_rest == Rest::frozen) return;
  const auto factored = lora_layers(*model);
  for (auto& item : model->named_parameters()) {
    const std::string& name = item.key();
    const bool replaced = name.ends_with(".weight") && factored.contains(name.substr(0, name.rfind('.')));
    if (!replaced) item.value().requires_grad_(true);
  }
}

void add_restarts(Schedule& schedule, const AdapterOptions& filled, int64_t batch) {
  if (filled.weights != Weights::relora) return;
  schedule.restart_every = *filled.restart_every * batch;
  schedule.restart_warmup = *filled.restart_warmup * batch;
}

void adapt_task(Task& task, lm::Transformer model, const AdapterOptions& filled, uint64_t seed, double weight_decay) {
  if (filled.weights == Weights::full) return;
  for (auto& factor : lora_parameters(*model, weight_decay)) task.parameters.push_back(std::move(factor));
  task.write_model = [model, write = std::move(task.write_model)](const fs::path& folder) mutable {
    write(folder);
    fs::create_directory(folder / "adapter");
    save_lora(*model, folder / "adapter", "..");
  };
  task.read_model = [model, read = std::move(task.read_model)](const fs::path& folder) mutable {
    read(folder);
    read_lora_in_place(*model, folder / "adapter");
  };
  if (filled.weights != Weights::relora) return;
  task.prepare_step = [model, every = *filled.restart_every, keep = *filled.restart_keep, seed](int64_t step,
                                                                                                Optimizer& optimizer) mutable {
    if (step > 1 && (step - 1) % every == 0) restart_lora(*model, optimizer, seed + static_cast<uint64_t>(step), keep);
  };
}

}  // namespace tessera::train
