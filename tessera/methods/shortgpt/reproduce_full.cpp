// The parts of the experiment that only --full runs: a second real model, and the claims that need training.

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "tessera/base/interrupt.h"
#include "tessera/base/random.h"
#include "tessera/methods/shortgpt/experiment_data.h"
#include "tessera/methods/shortgpt/heal.h"
#include "tessera/methods/shortgpt/reproduce.h"
#include "tessera/methods/shortgpt/sweep.h"
#include "tessera/run/correlation.h"
#include "tessera/run/run_folder.h"

namespace tessera::shortgpt {
namespace {

constexpr int64_t kBytes = 256;   // the vocabulary of the models trained here: bytes
constexpr int64_t kLength = 128;  // tokens a training window

// Bytes of a text as tokens.
std::vector<text::TokenId> bytes_of(std::string_view text) {
  std::vector<text::TokenId> ids;
  ids.reserve(text.size());
  for (char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

struct Corpus {
  Windows training, held_out;
};

// The last hundredth of the text is held out.
Corpus corpus_of(const std::string& text) {
  const size_t border = text.size() - text.size() / 100;
  Corpus corpus{cut(bytes_of(std::string_view(text).substr(0, border)), kLength),
                cut(bytes_of(std::string_view(text).substr(border)), kLength)};
  if (corpus.held_out.size() > 64) corpus.held_out.resize(64);
  std::erase_if(corpus.training, [](const torch::Tensor& w) { return w.size(0) != kLength; });
  std::erase_if(corpus.held_out, [](const torch::Tensor& w) { return w.size(0) != kLength; });
  return corpus;
}

// One arm of a training experiment: what it is called in metrics.jsonl, and where its windows are drawn from.
struct Arm {
  std::string name;
  uint64_t seed;
};

void record_loss(run::Context& context, const std::string& arm, int64_t step, double loss) {
  if (step % 10 == 0) context.folder().metrics().write(step, {{arm + "/loss", loss}});
}

// AdamW on random windows. `logits` maps ids [B, T] to [B, T, V].
template <class Logits>
double train(const std::vector<torch::Tensor>& parameters, const Logits& logits, const Windows& windows, const TrainingPlan& plan,
             const Arm& arm, run::Context& context) {
  for (const auto& parameter : parameters) parameter.requires_grad_(true);
  torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(plan.rate).betas({0.9, 0.98}).weight_decay(0.1));
  RandomStream random(arm.seed, "shortgpt/train");
  Progress progress(context.progress(), arm.name, static_cast<uint64_t>(plan.steps), "steps");
  double last = 0;
  for (int64_t step = 0; step < plan.steps; ++step) {
    throw_if_interrupted();
    for (auto& group : optimizer.param_groups()) group.options().set_lr(training_rate(step, plan));
    std::vector<torch::Tensor> rows;
    for (int64_t b = 0; b < plan.batch; ++b) rows.push_back(windows[random.below(windows.size())]);
    const auto ids = torch::stack(rows);
    optimizer.zero_grad();
    const auto out = torch::log_softmax(logits(ids.slice(1, 0, kLength - 1)), -1);
    const auto loss = torch::nll_loss(out.flatten(0, 1), ids.slice(1, 1).flatten());
    loss.backward();
    torch::nn::utils::clip_grad_norm_(parameters, 1.0);
    optimizer.step();
    last = loss.template item<double>();
    progress.update(static_cast<uint64_t>(step) + 1, fmt::format("loss {:.3f}", last));
    record_loss(context, arm.name, step + 1, last);
  }
  context.note("{}: loss {:.3f} after {} steps", arm.name, last, plan.steps);
  for (const auto& parameter : parameters) parameter.requires_grad_(false);
  return last;
}

struct Trained {
  lm::Transformer model;
  double loss;  // of the last step
};

Trained trained_transformer(lm::NormPlacement placement, const Corpus& corpus, uint64_t seed, const TrainingPlan& plan,
                            run::Context& context) {
  auto config = lm::fresh_config({{"model_type", "llama"},
                                  {"vocab_size", kBytes},
                                  {"hidden_size", 192},
                                  {"intermediate_size", 512},
                                  {"num_hidden_layers", 12},
                                  {"num_attention_heads", 6},
                                  {"num_key_value_heads", 6},
                                  {"max_position_embeddings", 512},
                                  {"rms_norm_eps", 1e-5},
                                  {"tie_word_embeddings", true}});
  config.placement = placement;
  lm::record_extensions(config);
  lm::Transformer model(config);
  lm::init_weights(model, seed);
  model->fuse();
  const Arm arm{fmt::format("{}-norm, seed {}", placement == lm::NormPlacement::pre ? "pre" : "post", seed), seed};
  const double loss = train(
      model->parameters(), [&](const torch::Tensor& ids) { return model->forward(ids); }, corpus.training, plan, arm, context);
  return {model, loss};
}

std::vector<double> cosines(LayeredModel& model, const Windows& windows) {
  std::vector<double> values;
  for (const auto& layer : measure_influence(model, windows, {.batch = 16}).result()) values.push_back(1 - layer.bi.mean);
  return values;
}

// Nats a byte that an order-0 model of the training text pays on the held-out one: what a model without any context can reach.
double frequency_loss(const Corpus& corpus) {
  const auto counts = torch::bincount(torch::cat(corpus.training), {}, kBytes).to(torch::kDouble) + 1;
  const auto nats = -torch::log(counts / counts.sum());
  return nats.index_select(0, torch::cat(corpus.held_out)).mean().item<double>();
}

}  // namespace

double training_rate(int64_t step, const TrainingPlan& plan) {
  const double share = (static_cast<double>(step) + 1) / static_cast<double>(plan.steps);
  if (share < plan.warm_up) return plan.rate * share / plan.warm_up;
  return plan.rate * (0.1 + 0.45 * (1 + std::cos(std::numbers::pi * (share - plan.warm_up) / (1 - plan.warm_up))));
}

void measure_norm_placement(run::Report& report, run::Context& context, const std::string& text, const TrainingPlan& plan) {
  const auto corpus = corpus_of(text);
  std::vector<double> differences;
  run::LinePlot plot{.title = "Similarity of a block's input and output", .x = {.label = "block"}, .y = {.label = "cosine"}};
  run::Table table{.title = "Trained from scratch",
                   .columns = {"placement", "seed", "last training loss", "held-out loss", "mean cosine of blocks 6 to 11"}};
  for (uint64_t seed : plan.seeds) {
    double deep[2] = {};
    for (const auto placement : {lm::NormPlacement::pre, lm::NormPlacement::post}) {
      const auto [model, loss] = trained_transformer(placement, corpus, seed, plan, context);
      auto layers = layers_of(model);
      const auto values = cosines(*layers, corpus.held_out);
      const double held_out = losses_without(*layers, corpus.held_out, {{}}, 16)[0].per_token();
      const bool pre = placement == lm::NormPlacement::pre;
      const double mean = std::accumulate(values.begin() + 6, values.end(), 0.0) / 6;
      deep[pre ? 0 : 1] = mean;
      report.measured(fmt::format("{}-norm, seed {}", pre ? "pre" : "post", seed),
                      {{"last loss", loss}, {"held-out loss", held_out}, {"cosine of blocks 6 to 11", mean}});
      table.rows.push_back({pre ? "pre" : "post", std::to_string(seed), fmt::format("{:.3f}", loss), fmt::format("{:.3f}", held_out),
                            fmt::format("{:.4f}", mean)});
      run::Line line{.name = fmt::format("{}-norm, seed {}", pre ? "pre" : "post", seed), .x = {}, .y = values};
      for (size_t i = 0; i < values.size(); ++i) line.x.push_back(static_cast<double>(i));
      plot.lines.push_back(line);
    }
    differences.push_back(deep[0] - deep[1]);
  }
  table.caption = fmt::format("Losses in nats a byte; byte frequencies alone pay {:.3f} on the held-out text.", frequency_loss(corpus));
  report.heading("Why: where the norm stands");
  report.plot(plot);
  report.table(table);
  report.judge(claims::norm_placement, run::mean_of(differences));
}

void measure_healing(run::Report& report, run::Context& context, OpenedModel& opened, const std::vector<int64_t>& removed,
                     const Windows& training, const Windows& evaluation, const TrainingPlan& plan) {
  auto& model = opened.transformer("reproduce");
  const auto losses = losses_without(*layers_of(model), evaluation, {{}, removed});
  model->remove_blocks(removed);
  const auto inserted = insert_mlps(model, removed, plan.healing_width, 1);
  Progress progress(context.progress(), "healing", static_cast<uint64_t>(plan.healing_steps), "steps");
  const auto on_step = [&](int64_t step, double loss) {
    throw_if_interrupted();
    progress.update(static_cast<uint64_t>(step), fmt::format("loss {:.3f}", loss));
    record_loss(context, "healing", step, loss);
    return true;
  };
  heal(model, inserted, training, {.steps = plan.healing_steps, .batch = plan.healing_batch, .on_step = on_step});
  const auto healed = losses_without(*layers_of(model), evaluation, {{}})[0].by_window();
  const auto dense = losses[0].by_window(), pruned = losses[1].by_window();
  report.heading("Healing");
  const auto mean = [](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()); };
  run::Table table{.title = fmt::format("{} steps of the inserted MLPs", plan.healing_steps),
                   .columns = {"model", "perplexity", "log PPL"}};
  for (const auto& [name, values] : {std::pair{"dense", dense}, {"pruned", pruned}, {"healed", healed}}) {
    table.rows.push_back({name, fmt::format("{:.3f}", std::exp(mean(values))), fmt::format("{:.4f}", mean(values))});
    report.measured(fmt::format("healing: {}", name), {{"log PPL", mean(values)}});
  }
  table.caption =
      fmt::format("Trained on {} windows of `anarchism`, each seen once; evaluated on the handbook and glosses.", training.size());
  report.table(table);
  report.judge(claims::heals, run::sample_of("share of the gap closed", {dense.size()}, [=](std::span<const size_t> chosen) {
                 double gap = 0, closed = 0;
                 for (size_t w : chosen) {
                   gap += pruned[w] - dense[w];
                   closed += pruned[w] - healed[w];
                 }
                 return closed / gap;
               }));
}

void measure_mamba(run::Report& report, run::Context& context, const std::string& text, const TrainingPlan& plan) {
  const auto corpus = corpus_of(text);
  nn::Mamba model(nn::MambaConfig{.vocab = kBytes,
                                  .width = 192,
                                  .depth = 12,
                                  .channels = 384,
                                  .states = 16,
                                  .convolution = 4,
                                  .rank = 12,
                                  .norm_eps = 1e-5,
                                  .bias = false,
                                  .conv_bias = true});
  model->init(1);
  const double loss = train(
      model->parameters(), [&](const torch::Tensor& ids) { return model->forward(ids); }, corpus.training, plan, {"Mamba", 1}, context);
  auto layers = layers_of(model);
  const Windows calibration(corpus.training.begin(), corpus.training.begin() + 32);
  const auto influence = measure_influence(*layers, calibration, {.batch = 16}).result();
  const auto order = order_by(Metric::block_influence, influence);
  std::vector<std::vector<int64_t>> variants = {{}, {order.begin(), order.begin() + 3}};
  for (uint64_t s = 1; s <= 5; ++s) {
    const auto random = textless_order(Metric::random, model->depth(), s);
    variants.emplace_back(random.begin(), random.begin() + 3);
  }
  const auto losses = losses_without(*layers, corpus.held_out, variants, 16);
  std::vector<size_t> sets = {2, 3, 4, 5, 6};
  std::sort(sets.begin(), sets.end(), [&](size_t a, size_t b) { return losses[a].per_token() < losses[b].per_token(); });
  auto difference = losses[sets[2]].by_window();
  const auto ours = losses[1].by_window();
  for (size_t w = 0; w < difference.size(); ++w) difference[w] -= ours[w];
  report.heading("Mamba");
  run::BarPlot plot{.title = "Block Influence of Mamba blocks", .categories_label = "block"};
  plot.value = {.label = "1 - cosine of input and output"};
  run::Bars bars{.name = "BI", .values = {}};
  for (size_t i = 0; i < influence.size(); ++i) {
    plot.categories.push_back(std::to_string(i));
    bars.values.push_back(influence[i].bi.mean);
  }
  plot.bars = {bars};
  plot.caption =
      fmt::format("Last training loss {:.3f} nats a byte; log PPL dense {:.3f}, BI's three removed {:.3f}, the median random three {:.3f}.",
                  loss, losses[0].per_token(), losses[1].per_token(), losses[sets[2]].per_token());
  report.plot(plot);
  report.judge(claims::mamba, run::mean_of(difference));
}

void measure_second_model(run::Report& report, run::Context& context, const Plan& plan) {
  auto smaller = plan;
  smaller.calibration_sets = 1;
  smaller.items = 4;
  smaller.continuations = 1;
  smaller.sweep_windows = smaller.curve_windows;
  auto data = experiment_data(kSecondModel, smaller, false, context);
  // Gemma never saw a text without its first token.
  const auto calibration = behind_bos(*data.opened.tokenizer, data.calibration.front());
  const auto evaluation = behind_bos(*data.opened.tokenizer, data.evaluation);
  auto layers = data.opened.layers();
  const auto influence = measure_influence(*layers, calibration, {.batch = 4}).result();
  const auto rises = perplexity_rises(*layers, evaluation, 4, [](int64_t, int64_t) { throw_if_interrupted(); });
  const auto order = order_by(Metric::block_influence, influence);
  std::vector<std::vector<int64_t>> variants = {{}};
  const std::vector<std::pair<std::string, std::vector<int64_t>>> orders = {
      {"BI", order},
      {"RM", order_by(Metric::relative_magnitude, influence)},
      {"reverse", textless_order(Metric::reverse, layers->depth(), 0)}};
  for (const auto& each : orders) {
    for (int64_t n : plan.counts) variants.emplace_back(each.second.begin(), each.second.begin() + n);
  }
  const auto losses = losses_without(*layers, evaluation, variants);
  report.heading("A second model: Gemma3-270M");
  std::vector<double> bi;
  bi.reserve(influence.size());
  for (const auto& layer : influence) bi.push_back(layer.bi.mean);
  report.text(
      fmt::format("Lowest BI first: {}. Spearman's correlation between BI and the rise of log PPL without the layer: **{:.2f}** over {} "
                  "layers. Every window stands behind Gemma's <bos>.",
                  fmt::join(order, " "), run::spearman(bi, rises), layers->depth()));
  run::LinePlot plot{.title = "Gemma3-270M: perplexity against removed layers",
                     .x = {.label = "layers removed"},
                     .y = {.label = "perplexity", .unit = {}, .log = true},
                     .levels = {{"dense", std::exp(losses[0].per_token())}}};
  for (size_t o = 0; o < orders.size(); ++o) {
    run::Line line{.name = orders[o].first, .x = {}, .y = {}};
    for (size_t c = 0; c < plan.counts.size(); ++c) {
      line.x.push_back(static_cast<double>(plan.counts[c]));
      line.y.push_back(std::exp(losses[1 + o * plan.counts.size() + c].per_token()));
    }
    plot.lines.push_back(line);
  }
  report.plot(plot);
}

}  // namespace tessera::shortgpt
