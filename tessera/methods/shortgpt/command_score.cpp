// tessera shortgpt score: every layer's influence on calibration text.

#include <cmath>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/methods/shortgpt/commands.h"
#include "tessera/methods/shortgpt/opened_model.h"
#include "tessera/run/correlation.h"
#include "tessera/run/report.h"
#include "tessera/run/run_folder.h"

namespace tessera::shortgpt {
namespace {

enum class ShownMetric { bi, rm, norm, angular, ppl, all };
enum class LastState { raw, normed };

struct ScoreCommand {
  std::string model;
  std::vector<std::filesystem::path> calib;
  ShownMetric metric = ShownMetric::bi;
  int64_t window = 256, tokens = 65536, span = 1, batch = 1;
  bool sublayers = false;
  LastState last_state = LastState::raw;

  // Whether perplexities without each layer are asked for; all else needs hidden states alone.
  bool removes_layers() const { return metric == ShownMetric::ppl || metric == ShownMetric::all; }
};

run::OptionTable<ScoreCommand> score_options() {
  return run::OptionTable<ScoreCommand>()
      .model("MODEL", &ScoreCommand::model, "model folder, .gguf, or an installed model's name")
      .input("calib", &ScoreCommand::calib, "texts to calibrate on; any prose will do")
      .required()
      .choice("metric", &ScoreCommand::metric,
              {{"bi", ShownMetric::bi, "1 - cosine of a layer's input and output"},
               {"rm", ShownMetric::rm, "size of the layer's change relative to its output"},
               {"norm", ShownMetric::norm, "size of the hidden state; ranks the last layer lowest"},
               {"angular", ShownMetric::angular, "angle between states --span layers apart, over pi"},
               {"ppl", ShownMetric::ppl, "rise of log perplexity without the layer; one pass a layer"},
               {"all", ShownMetric::all, "all of them, ranked by bi"}},
              "what ranks the layers")
      .number("window", &ScoreCommand::window, run::Range{2, 1 << 20}, "length of a window")
      .unit("tokens")
      .number("tokens", &ScoreCommand::tokens, run::Range{2, 1e12}, "how much text to read")
      .unit("tokens")
      .number("span", &ScoreCommand::span, run::Range{1, 1000}, "how far apart the angular metric looks")
      .unit("layers")
      .number("batch", &ScoreCommand::batch, run::Range{1, 4096}, "windows a pass: memory against speed")
      .flag("sublayers", &ScoreCommand::sublayers, "score attention and FFN branches apart")
      .choice("last-state", &ScoreCommand::last_state,
              {{"raw", LastState::raw, "as the paper's formula says"},
               {"normed", LastState::normed, "behind the final norm, which reproduces the official code's number for the last layer"}},
              "the last layer's output")
      .example("tessera shortgpt score smollm2 --calib book.txt", "rank the layers")
      .example("tessera shortgpt score smollm2 --calib book.txt --metric all", "with every metric")
      .example("tessera shortgpt score model/ --calib a.txt b.txt --sublayers --json", "branches, for a script");
}

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// The layer's name: "12", or "12.attn" and "12.mlp".
std::string layer_name(int64_t index, bool sublayers) {
  return sublayers ? fmt::format("{}.{}", index / 2, index % 2 == 0 ? "attn" : "mlp") : std::to_string(index);
}

struct Scored {
  std::vector<LayerInfluence> layers;
  std::vector<double> rises;        // of log perplexity; empty unless asked for
  std::vector<int64_t> order;       // lowest first
  double stability = std::nan("");  // Spearman's correlation between BI on the two halves of the windows
  int64_t tokens = 0, windows = 0;
  double seconds = 0;
};

std::string running_ranking(const InfluenceMeter& meter) {
  const auto order = order_by(Metric::block_influence, meter.result());
  std::string text = "lowest";
  for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i) text += fmt::format(" {}", order[i]);
  return text;
}

// The order of the metric asked for.
std::vector<int64_t> order_of(const Scored& scored, ShownMetric metric) {
  if (metric == ShownMetric::ppl) return ascending(scored.rises);
  if (metric == ShownMetric::rm) return order_by(Metric::relative_magnitude, scored.layers);
  if (metric == ShownMetric::norm) return order_by(Metric::norm, scored.layers);
  if (metric == ShownMetric::angular) {
    std::vector<double> angles;
    for (const auto& layer : scored.layers) angles.push_back(layer.angle.mean);
    return ascending(angles);
  }
  return order_by(Metric::block_influence, scored.layers);
}

Scored run_scoring(const ScoreCommand& options, OpenedModel& opened, const Windows& windows, run::Context& context) {
  auto model = opened.layers(options.sublayers);
  if (options.span > model->depth()) {
    throw InputError("--span {}: {} has {} layers; give 1 to {}", options.span, options.model, model->depth(), model->depth());
  }
  const auto started = std::chrono::steady_clock::now();
  Scored scored;
  InfluenceMeter meter(1);
  {
    Progress progress(context.progress(), "scoring", static_cast<uint64_t>(token_count(windows)), "tokens");
    meter = measure_influence(*model, windows,
                              {.span = options.span,
                               .last_normed = options.last_state == LastState::normed,
                               .batch = options.batch,
                               .on_batch = [&](int64_t tokens, const InfluenceMeter& so_far) {
                                 progress.update(static_cast<uint64_t>(tokens), running_ranking(so_far));
                                 return !interrupted();
                               }});
  }
  scored.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  scored.layers = meter.result();
  scored.windows = static_cast<int64_t>(meter.windows().size());
  for (int64_t w = 0; w < scored.windows; ++w) scored.tokens += windows[static_cast<size_t>(w)].size(0);
  if (scored.windows >= 2) {
    const auto bi = [&](int64_t begin, int64_t end) {
      std::vector<double> values;
      for (const auto& layer : meter.result(begin, end)) values.push_back(layer.bi.mean);
      return values;
    };
    scored.stability = run::spearman(bi(0, scored.windows / 2), bi(scored.windows / 2, scored.windows));
  }
  if (options.removes_layers()) {
    Progress progress(context.progress(), "removing each layer", 0, "layers");
    scored.rises = perplexity_rises(*model, windows, std::max<int64_t>(options.batch, 4), [&](int64_t done, int64_t total) {
      throw_if_interrupted();
      progress.update(static_cast<uint64_t>(done), fmt::format("of {} passes through a layer", total));
    });
  }
  scored.order = order_of(scored, options.metric);
  return scored;
}

Json layer_json(const Scored& scored, size_t i, int64_t rank, bool sublayers) {
  const auto& layer = scored.layers[i];
  Json row = {{"layer", i}};
  if (sublayers) row["name"] = layer_name(static_cast<int64_t>(i), true);
  row["rank"] = rank;
  row["bi"] = number(layer.bi.mean);
  row["bi_error"] = number(layer.bi.error);
  row["bi_without_first"] = number(layer.bi_without_first.mean);
  row["rm"] = number(layer.magnitude.mean);
  row["rm_error"] = number(layer.magnitude.error);
  row["norm"] = number(layer.norm.mean);
  row["norm_error"] = number(layer.norm.error);
  row["angular"] = number(layer.angle.mean);
  row["angular_error"] = number(layer.angle.error);
  if (!scored.rises.empty()) row["ppl"] = number(scored.rises[i]);
  row["skipped_tokens"] = layer.skipped;
  return row;
}

Json document_of(const Scored& scored, const ScoreCommand& options, const std::string& dtype) {
  Json document = {{"model", options.model},
                   {"window", options.window},
                   {"windows", scored.windows},
                   {"tokens", scored.tokens},
                   {"dtype", dtype},
                   {"seconds", scored.seconds},
                   {"tokens_per_second", static_cast<double>(scored.tokens) / scored.seconds},
                   {"sublayers", options.sublayers},
                   {"last_state", options.last_state == LastState::raw ? "raw" : "normed"},
                   {"stability", number(scored.stability)}};
  std::vector<int64_t> rank(scored.order.size());
  for (size_t r = 0; r < scored.order.size(); ++r) rank[static_cast<size_t>(scored.order[r])] = static_cast<int64_t>(r);
  auto& layers = document["layers"] = Json::array();
  for (size_t i = 0; i < scored.layers.size(); ++i) layers.push_back(layer_json(scored, i, rank[i], options.sublayers));
  document["order"] = scored.order;
  return document;
}

run::BarPlot bars_of(const Scored& scored, bool sublayers) {
  run::BarPlot plot{.title = "Block Influence of every layer", .categories_label = sublayers ? "branch" : "layer"};
  plot.value = {.label = "1 - cosine of input and output"};
  run::Bars all{.name = "all tokens", .values = {}}, rest{.name = "without each window's first token", .values = {}};
  for (size_t i = 0; i < scored.layers.size(); ++i) {
    const auto& layer = scored.layers[i];
    plot.categories.push_back(layer_name(static_cast<int64_t>(i), sublayers));
    all.values.push_back(layer.bi.mean);
    rest.values.push_back(layer.bi_without_first.mean);
    const double error = std::isfinite(layer.bi.error) ? layer.bi.error : 0.0;
    all.intervals.push_back({layer.bi.mean - 1.96 * error, layer.bi.mean + 1.96 * error});
  }
  plot.bars = {all, rest};
  plot.caption = fmt::format("{} windows, {} tokens. Intervals: 1.96 standard errors over windows. The lowest layers go first.",
                             scored.windows, scored.tokens);
  return plot;
}

std::string shown(double mean, double error) {
  return std::isfinite(error) ? fmt::format("{:.4f} +- {:.4f}", mean, error) : fmt::format("{:.4f}", mean);
}

void print_table(const Scored& scored, const ScoreCommand& options, run::Context& context) {
  context.line("{:>5} {:>9} {:>18} {:>8} {:>18} {:>9} {:>8}{}", "rank", "layer", "BI", "no 1st", "rel. magnitude", "norm", "angle",
               scored.rises.empty() ? "" : "   log PPL rise");
  for (size_t r = 0; r < scored.order.size(); ++r) {
    const auto i = static_cast<size_t>(scored.order[r]);
    const auto& layer = scored.layers[i];
    context.line("{:>5} {:>9} {:>18} {:>8.4f} {:>18} {:>9.2f} {:>8.4f}{}", r, layer_name(scored.order[r], options.sublayers),
                 shown(layer.bi.mean, layer.bi.error), layer.bi_without_first.mean, shown(layer.magnitude.mean, layer.magnitude.error),
                 layer.norm.mean, layer.angle.mean, scored.rises.empty() ? "" : fmt::format("   {:>12.4f}", scored.rises[i]));
  }
  int64_t skipped = 0;
  for (const auto& layer : scored.layers) skipped += layer.skipped;
  if (skipped > 0) context.line("{} states without a direction (zero or not finite) were left out", skipped);
  if (scored.stability < 0.9) {
    context.line("the ranking is not stable: halves of the text correlate by {:.2f} only; give more text (--tokens)", scored.stability);
  }
}

void score(const ScoreCommand& options, run::Context& context) {
  auto opened = open_model(options.model, context, {.head = options.removes_layers()});
  const auto windows = read_windows(*opened.tokenizer, options.calib, {.window = options.window, .tokens = options.tokens}, "--calib");
  opened.release_tokenizer();
  const auto scored = run_scoring(options, opened, windows, context);
  const auto dtype = opened.recurrent() ? std::string("fp32") : opened.loaded.dtype_note;
  const auto document = document_of(scored, options, dtype);
  auto& folder = context.folder();
  write_file(folder.artifact("scores.json"), document.dump(1) + "\n");
  run::Report report(folder.path(), {.method = "shortgpt",
                                     .title = "Which layers of " + options.model + " matter",
                                     .paper = "arXiv:2403.03853v3",
                                     .what = "Block Influence of every layer, by one forward pass over your text."});
  report.setting("dtype", dtype);
  report.setting("windows", fmt::format("{} of {} tokens, no token added", scored.windows, options.window));
  report.heading("Layers");
  report.plot(bars_of(scored, options.sublayers));
  run::Table table{.title = "Scores, lowest first",
                   .columns = {"rank", "layer", "BI", "standard error", "BI without first token", "relative magnitude", "norm"}};
  for (size_t r = 0; r < scored.order.size(); ++r) {
    const auto& layer = scored.layers[static_cast<size_t>(scored.order[r])];
    table.rows.push_back({std::to_string(r), layer_name(scored.order[r], options.sublayers), fmt::format("{:.5f}", layer.bi.mean),
                          fmt::format("{:.5f}", layer.bi.error), fmt::format("{:.5f}", layer.bi_without_first.mean),
                          fmt::format("{:.5f}", layer.magnitude.mean), fmt::format("{:.2f}", layer.norm.mean)});
  }
  report.table(table);
  const auto page = report.write();
  print_table(scored, options, context);
  context.line("{} tokens in {:.1f} s ({:.0f} tokens/s, {})", scored.tokens, scored.seconds,
               static_cast<double>(scored.tokens) / scored.seconds, dtype);
  context.line("report: {}", page.string());
  context.result(document);
}

}  // namespace

run::Command score_command() { return run::command("score", "rank every layer on your own text", score_options, score); }

std::vector<run::Choice<Metric>> metric_choices() {
  return {{"bi", Metric::block_influence, "1 - cosine of a layer's input and output"},
          {"rm", Metric::relative_magnitude, "size of the layer's change relative to its output"},
          {"norm", Metric::norm, "largest hidden state first"},
          {"angular", Metric::angular, "the span with the smallest angle (Gromov et al.)"},
          {"ppl", Metric::perplexity, "rise of perplexity without the layer: exact, L times slower"},
          {"sequential", Metric::sequential, "the first layers"},
          {"reverse", Metric::reverse, "the last layers"},
          {"random", Metric::random, "by --seed"}};
}

std::vector<int64_t> ranking(LayeredModel& model, Metric metric, const Windows& windows, int64_t count, run::Context& context) {
  if (metric == Metric::sequential || metric == Metric::reverse || metric == Metric::random) {
    return textless_order(metric, model.depth(), context.settings().seed);
  }
  if (windows.empty()) throw InputError("--metric {} needs calibration text; give --calib FILE", name_of(metric));
  Progress progress(context.progress(), fmt::format("ranking by {}", name_of(metric)), 0, "steps");
  if (metric == Metric::perplexity) {
    return ascending(perplexity_rises(model, windows, 4, [&](int64_t done, int64_t) {
      throw_if_interrupted();
      progress.update(static_cast<uint64_t>(done));
    }));
  }
  const int64_t span = metric == Metric::angular ? std::clamp<int64_t>(count, 1, model.depth()) : 1;
  const auto layers = measure_influence(model, windows,
                                        {.span = span,
                                         .on_batch =
                                             [&](int64_t tokens, const InfluenceMeter&) {
                                               throw_if_interrupted();
                                               progress.update(static_cast<uint64_t>(tokens));
                                               return true;
                                             }})
                          .result();
  if (metric != Metric::angular) return order_by(metric, layers);
  auto order = lowest_span(layers, span);
  for (int64_t i : textless_order(Metric::reverse, model.depth(), 0)) {
    if (std::find(order.begin(), order.end(), i) == order.end()) order.push_back(i);
  }
  return order;
}

}  // namespace tessera::shortgpt
