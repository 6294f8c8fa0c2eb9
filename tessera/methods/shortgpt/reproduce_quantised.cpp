// The part of the experiment that combines removal with 4-bit weights, in both orders (claim C4).

#include <cmath>
#include <map>
#include <numeric>

#include "tessera/base/interrupt.h"
#include "tessera/methods/shortgpt/quantise_model.h"
#include "tessera/methods/shortgpt/reproduce.h"
#include "tessera/methods/shortgpt/score.h"

namespace tessera::shortgpt {
namespace {

constexpr double kFirstToken = 64;
constexpr const char* kWeighted = "GPTQ, first token counted 64 times";

using NatsByModel = std::map<std::string, std::vector<double>>;  // by window

// A copy whose weights may be changed.
lm::Transformer copy_of(lm::Transformer& model) {
  torch::NoGradGuard no_gradient;
  lm::Transformer copy(model->config());
  auto from = model->named_parameters();
  for (auto& parameter : copy->named_parameters()) parameter->copy_(from[parameter.key()]);
  copy->eval();
  for (auto& parameter : copy->parameters()) parameter.requires_grad_(false);
  copy->fuse();
  return copy;
}

double block_bits(lm::Transformer& model, int64_t bytes) {
  int64_t weights = 0;
  for (const auto& parameter : model->named_parameters()) {
    if (parameter->dim() == 2 && parameter.key().find("layers.") != std::string::npos) weights += parameter->numel();
  }
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

void judge_quantisation(run::Report& report, const NatsByModel& nats) {
  // The mean over windows of a signed sum of models.
  const auto combine = [&](const std::vector<std::pair<double, std::string>>& terms) {
    std::vector<double> values(nats.at("dense").size());
    for (const auto& [sign, name] : terms) {
      for (size_t w = 0; w < values.size(); ++w) values[w] += sign * nats.at(name)[w];
    }
    return run::mean_of(values);
  };
  const auto beyond = [&](const std::string& both, const std::string& quantised) {
    return combine({{1, both}, {-1, quantised}, {-1, "removed"}, {1, "dense"}});
  };
  run::Samples samples;
  for (const std::string name : {"GPTQ", "RTN"}) {
    samples.emplace(name + ", remove first less quantise first", combine({{1, "removed, then " + name}, {-1, name + ", then removed"}}));
  }
  samples.emplace("GPTQ, quantise first, beyond the sum", beyond("GPTQ, then removed", "GPTQ"));
  samples.emplace("GPTQ, remove first, beyond the sum", beyond("removed, then GPTQ", "GPTQ"));
  samples.emplace("RTN, beyond the sum", beyond("RTN, then removed", "RTN"));
  report.judge(claims::quantised_too, samples);
}

run::Table table_of(const NatsByModel& nats, size_t removed) {
  run::Table table{.title = fmt::format("Quantisation and removal of {} layer{}", removed, removed == 1 ? "" : "s"),
                   .columns = {"model", "perplexity", "log PPL", "rise"}};
  const auto mean = [](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()); };
  const double dense = mean(nats.at("dense"));
  for (const std::string name : {"dense", "removed", "RTN", "RTN, then removed", "removed, then RTN", "GPTQ", "GPTQ, then removed",
                                 "removed, then GPTQ", kWeighted}) {
    const double value = mean(nats.at(name));
    table.rows.push_back(
        {name, fmt::format("{:.3f}", std::exp(value)), fmt::format("{:.4f}", value), fmt::format("{:+.4f}", value - dense)});
  }
  return table;
}

}  // namespace

void measure_quantisation(run::Report& report, lm::Transformer& model, const Windows& calibration, const Windows& evaluation,
                          const std::vector<int64_t>& removed) {
  const auto measure = [&](lm::Transformer& of, const std::vector<std::vector<int64_t>>& variants) {
    throw_if_interrupted();
    std::vector<std::vector<double>> values;
    for (const auto& losses : losses_without(*layers_of(of), evaluation, variants)) values.push_back(losses.by_window());
    return values;
  };
  const auto plain = measure(model, {{}, removed});
  NatsByModel nats = {{"dense", plain[0]}, {"removed", plain[1]}};
  int64_t bytes = 0;
  for (const bool calibrated : {false, true}) {
    const std::string name = calibrated ? "GPTQ" : "RTN";
    const auto apply = [&](lm::Transformer& to) { return calibrated ? quantise_gptq(to, calibration) : quantise_nearest(to); };
    auto whole = copy_of(model);
    bytes = apply(whole);
    const auto quantised = measure(whole, {{}, removed});
    nats[name] = quantised[0];
    nats[name + ", then removed"] = quantised[1];
    auto shorter = copy_of(model);
    shorter->remove_blocks(removed);
    apply(shorter);
    nats["removed, then " + name] = measure(shorter, {{}})[0];
  }
  {
    auto whole = copy_of(model);
    quantise_gptq(whole, calibration, {}, {.first_token = kFirstToken});
    nats[kWeighted] = measure(whole, {{}})[0];
  }
  for (const auto& [name, values] : nats) {
    report.measured(name, {{"log PPL", std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size())}});
  }
  report.heading("With 4-bit weights");
  auto table = table_of(nats, removed.size());
  table.caption = fmt::format(
      "int4 in groups of 128 columns, {:.1f} MB for all blocks' matrices ({:.2f} bits a weight); embeddings and norms stay "
      "float32. With a fixed set, rounding to nearest commutes with removal; GPTQ's Hessians come from the {} windows of "
      "calibration text. GPTQ's Hessian counts the first token of a window as one of {}, but every other token attends to it and reads its "
      "value: the last row counts it {:.0f} times for q, k and v.",
      static_cast<double>(bytes) / 1e6, block_bits(model, bytes), calibration.size(), calibration.front().size(0), kFirstToken);
  report.table(table);
  judge_quantisation(report, nats);
}

}  // namespace tessera::shortgpt
