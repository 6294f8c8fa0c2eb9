#include "report_sample.h"

#include <cmath>
#include <string>
#include <vector>

#include "tessera/base/random.h"

namespace tessera::run {

namespace {

const Claim kRank = {.id = "C1",
                     .says = "Block Influence ranks layers as their removal costs perplexity.",
                     .theirs = "Figure 2: layers with low BI cost least when removed (Llama-2-7B)",
                     .measure = "Spearman correlation of BI and the rise of log PPL over the 30 layers of SmolLM2-135M",
                     .unit = "",
                     .holds_if = {{.at_least = 0.5}, {.interval = PairedBootstrap{.confidence = 0.95, .resamples = 2000}, .above = 0.2}},
                     .cannot_show = "Whether the ranking stays this clear at 32 and more layers."};

Claim cheaper_than_all() {
  Claim claim = {.id = "C2",
                 .says = "Layers chosen by Block Influence cost less perplexity than reverse order, sequential order or random sets.",
                 .theirs = "Llama-2-7B, 27 % removed, mean of 13 tasks: 41.24 of 47.78; LaCo 38.41, LLM-Pruner 34.78",
                 .measure = "log PPL(other) − log PPL(BI) per window of 256 tokens, SmolLM2-135M less 3 and 5 of 30 layers",
                 .unit = "nats",
                 .holds_if = {},
                 .cannot_show = "86 % of the quality at 27 % removed: a 135M model has little slack."};
  for (const char* n : {"3", "5"}) {
    for (const char* other : {"reverse", "sequential", "random, median of 5"})
      claim.holds_if.push_back(
          {.of = std::string(other) + ", n = " + n, .interval = PairedBootstrap{.confidence = 0.95, .resamples = 2000}, .above = 0.0});
    claim.holds_if.push_back({.of = std::string("relative magnitude, n = ") + n, .above = -0.10});
  }
  return claim;
}

const Claim kCollapse = {.id = "C3",
                         .says = "Generation collapses before multiple choice does.",
                         .theirs = "XSum on Llama-2-7B 19.40 → 0.67 while MMLU 45.39 → 43.96",
                         .measure = "retention of above-chance accuracy less retention of token agreement, n = 8",
                         .unit = "points",
                         .holds_if = {{.interval = PairedBootstrap{.confidence = 0.95, .resamples = 2000}, .at_least = 15}}};
const Claim kSeeds = {.id = "C5",
                      .says = "Pre-norm blocks change the stream less than post-norm blocks.",
                      .theirs = "Figure 2, 32 layers, 200B tokens",
                      .measure = "mean cosine of blocks 6–11, pre-norm less post-norm, at equal step",
                      .unit = "",
                      .holds_if = {{.every = "seed", .at_least = 0.05}},
                      .cannot_show = "Divergence of the post-norm model after 26B tokens."};

std::vector<double> noisy(RandomStream& random, size_t n, double mean, double spread) {
  std::vector<double> values(n);
  for (double& value : values) value = mean + spread * random.normal();
  return values;
}

double linear(std::span<const double> x, std::span<const double> y) {
  double mx = 0, my = 0, xy = 0, xx = 0, yy = 0;
  const auto n = static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    mx += x[i] / n;
    my += y[i] / n;
  }
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xy / std::sqrt(xx * yy);
}

struct LayerScores {
  std::vector<double> bi, rise;
  std::vector<std::string> names;
};

LayerScores layer_scores(RandomStream& random) {
  LayerScores scores;
  for (int layer = 0; layer < 30; ++layer) {
    const double ends = 0.35 * std::exp(-layer / 1.5) + 0.25 * std::exp((layer - 29) / 1.2);
    scores.bi.push_back(0.05 + ends + 0.02 * std::abs(random.normal()));
    scores.rise.push_back(0.02 + 1.6 * std::pow(scores.bi.back(), 1.4) * std::exp(0.3 * random.normal()));
    scores.names.push_back(std::to_string(layer));
  }
  return scores;
}

void add_plots(Report& report, RandomStream& random, const LayerScores& scores) {
  report.heading("Which layers matter");
  report.text(
      "Block Influence is one minus the cosine between a layer's input and output. It needs **one forward pass** over unlabelled text.\n\n"
      "- calibration: `anarchism`, 16 windows of 256 tokens\n- evaluation: `debian-handbook`, 16 windows\n\nSee "
      "[the paper](https://arxiv.org/abs/2403.03853).");
  BarPlot bars{.title = "Block Influence of every layer",
               .categories_label = "layer",
               .categories = scores.names,
               .value = {.label = "Block Influence", .unit = "1 − cosine"},
               .bars = {{.name = "kept", .values = scores.bi, .intervals = {}, .marked = {24, 25, 26}}},
               .marked_name = "removed at n = 3",
               .levels = {},
               .caption = "Mean over 4,096 tokens with its interval over windows."};
  for (const double bi : scores.bi) bars.bars[0].intervals.push_back({bi * 0.92, bi * 1.1});
  report.plot(bars);
  report.plot(ScatterPlot{.title = "Low influence, low cost",
                          .x = {.label = "Block Influence", .unit = "1 − cosine", .log = true},
                          .y = {.label = "rise of log PPL when the layer is removed", .unit = "nats", .log = true},
                          .clouds = {{.name = "layers", .x = scores.bi, .y = scores.rise, .names = scores.names}}});
  LinePlot curves{.title = "Perplexity after removing n layers",
                  .x = {.label = "layers removed"},
                  .y = {.label = "log perplexity", .unit = "nats"},
                  .lines = {},
                  .levels = {{"dense", 3.05}},
                  .caption = "Median of the windows."};
  double steep = 0.05;
  for (const char* name : {"Block Influence", "relative magnitude", "reverse", "sequential", "random, median of 5"}) {
    Line line{.name = name, .x = {1, 2, 3, 5, 8}, .y = {}, .band = {}};
    for (const double n : line.x) {
      line.y.push_back(3.05 + steep * std::pow(n, 1.25) + 0.01 * random.normal());
      line.band.push_back({line.y.back() - 0.03 * n, line.y.back() + 0.035 * n});
    }
    curves.lines.push_back(line);
    steep *= 1.7;
  }
  report.plot(curves);
}

void add_more_plots(Report& report, RandomStream& random) {
  report.heading("Healing and speed");
  Line loss{.name = "", .x = {}, .y = {}, .band = {}};
  for (int step = 1; step <= 2000; ++step) {
    loss.x.push_back(step);
    loss.y.push_back(2.9 + 2.2 * std::pow(step, -0.35) + 0.05 * random.normal());
  }
  report.plot(LinePlot{
      .title = "Loss while healing", .x = {.label = "step", .log = true}, .y = {.label = "loss", .unit = "nats/token"}, .lines = {loss}});
  report.plot(
      BarPlot{.title = "Tokens a second beside peers",
              .categories_label = "program",
              .categories = {"Tessera, fp32", "Tessera, bf16", "Transformers 5.18, fp32", "llama.cpp, the same GGUF dequantised to fp32"},
              .value = {.label = "throughput", .unit = "tokens/s"},
              .bars = {{.name = "prompt", .values = {742, 2210, 549, 474}, .intervals = {{720, 760}, {2150, 2290}, {530, 566}, {465, 480}}},
                       {.name = "decode", .values = {62, 118, 21, 146}, .intervals = {{60, 64}, {112, 121}, {20, 22}, {143, 149}}}},
              .marked_name = "",
              .levels = {{"machine limit at fp32", 900}}});
  Table items{
      .title = "Four-way items", .columns = {"variant", "accuracy [%]", "above chance", "agreement"}, .rows = {}, .caption = "300 items."};
  items.rows = {{"dense", "61.3", "36.3", "1.000"}, {"n = 3", "57.0", "32.0", "0.412"}, {"n = 8", "41.7", "16.7", "0.038"}};
  report.table(items);
}

}  // namespace

Report sample_report(const std::filesystem::path& folder) {
  RandomStream random(7, "sample report");
  Report report(
      folder,
      {.method = "shortgpt",
       .title = "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect",
       .paper = "arXiv:2403.03853v3",
       .what = "SmolLM2-135M-Instruct (Q4_1, dequantised to fp32) loses 1 to 8 of its 30 layers, chosen by Block Influence and by "
               "five baselines; perplexity on text of another domain, four-way WordNet items and greedy continuations say what it costs."});
  const Claim c2 = cheaper_than_all();
  report.declare({kRank, c2, kCollapse, kSeeds});
  const LayerScores scores = layer_scores(random);
  add_plots(report, random, scores);
  report.judge(kRank, paired("Pearson correlation", scores.bi, scores.rise, linear));
  Samples samples;
  double mean = 0.1;
  for (const Condition& condition : c2.holds_if) samples.emplace(condition.of, mean_of(noisy(random, 16, mean += 0.05, 0.08)));
  report.judge(c2, samples);
  report.judge(kCollapse, noisy(random, 40, 14, 9));
  report.not_measured(kSeeds, "needs --full");
  double value = 3.21;
  for (const char* name : {"Block Influence", "relative magnitude", "reverse", "sequential", "random, median of 5"}) {
    report.baseline(
        {.name = name,
         .values =
             {{.of = "log PPL, n = 3", .value = value, .interval = Interval{value - 0.11, value + 0.12}, .unit = "nats"},
              {.of = "log PPL, n = 5", .value = value * 1.2, .interval = Interval{value * 1.2 - 0.2, value * 1.2 + 0.21}, .unit = "nats"},
              {.of = "items right", .value = 57.0 - 4 * value, .unit = "%"}},
         .note = name[0] == 'r' && name[1] == 'a' ? "5 sets, seeds 0–4" : "same windows",
         .ours = name[0] == 'B'});
    value *= 1.18;
  }
  add_more_plots(report, random);
  report.heading("Hostile text");
  report.text(std::string("All of this is text: ") + kHostile + " and `" + kHostile + "` and [a link](javascript:alert(1)).");
  report.plot(
      LinePlot{.title = kHostile, .x = {.label = kHostile}, .y = {.label = "y"}, .lines = {{.name = kHostile, .x = {1, 2}, .y = {1, 2}}}});
  report.cannot_show(
      "90 % retention at 25 % removed: a 135M model has little slack. The largest n with at most 10 % rise of perplexity here is **2**.");
  report.setting("LibTorch", "2.13.0 (oneDNN 3.12, MKL 2024.2)");
  report.setting("dtype", "fp32");
  report.setting("threads", "2");
  report.setting("seed", "0");
  report.recipe("[shortgpt.reproduce]\nmodel = \"smollm2\"  # <resolved>\nwindow = 256\nseed = 0\n");
  report.seconds(437.2);
  report.write();
  return report;
}

}  // namespace tessera::run
