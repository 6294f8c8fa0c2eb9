// tessera shortgpt sweep: perplexity, size and speed for every number of removed layers.

#include <cmath>

#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/methods/shortgpt/commands.h"
#include "tessera/methods/shortgpt/opened_model.h"
#include "tessera/methods/shortgpt/prune.h"
#include "tessera/methods/shortgpt/sweep.h"
#include "tessera/run/report.h"
#include "tessera/run/run_folder.h"

namespace tessera::shortgpt {
namespace {

struct SweepCommand {
  std::string model;
  std::vector<std::filesystem::path> calib, eval;
  Metric metric = Metric::block_influence;
  int64_t window = 256, tokens = 16384, eval_tokens = 4096, most = 0;
};

run::OptionTable<SweepCommand> sweep_options() {
  return run::OptionTable<SweepCommand>()
      .model("MODEL", &SweepCommand::model, "model folder, .gguf, or an installed model's name")
      .input("calib", &SweepCommand::calib, "texts to rank the layers on")
      .required()
      .input("eval", &SweepCommand::eval, "texts to measure perplexity on")
      .required()
      .choice("metric", &SweepCommand::metric, metric_choices(), "what ranks the layers")
      .number("window", &SweepCommand::window, run::Range{2, 1 << 20}, "length of a window")
      .unit("tokens")
      .number("tokens", &SweepCommand::tokens, run::Range{2, 1e12}, "calibration text to read")
      .unit("tokens")
      .number("eval-tokens", &SweepCommand::eval_tokens, run::Range{2, 1e12}, "evaluation text to read")
      .unit("tokens")
      .number("most", &SweepCommand::most, run::Range{0, 1000}, "largest number of layers to remove; 0: all but one")
      .unit("layers")
      .example("tessera shortgpt sweep smollm2 --calib a.txt --eval b.txt", "the whole curve and its knee")
      .example("tessera shortgpt sweep smollm2 --calib a.txt --eval b.txt --most 10", "only the useful part")
      .example("tessera shortgpt sweep model/ --calib a.txt --eval b.txt --metric rm --json", "another ranking, for a script");
}

void sweep(const SweepCommand& options, run::Context& context) {
  auto opened = open_model(options.model, context);
  const auto calib = read_windows(*opened.tokenizer, options.calib, {.window = options.window, .tokens = options.tokens}, "--calib");
  const auto eval = read_windows(*opened.tokenizer, options.eval, {.window = options.window, .tokens = options.eval_tokens}, "--eval");
  auto model = opened.layers();
  const int64_t most = options.most == 0 ? model->depth() - 1 : std::min(options.most, model->depth() - 1);
  const auto order = ranking(*model, options.metric, calib, most, context);
  std::vector<SweepPoint> points;
  {
    Progress progress(context.progress(), "sweep", static_cast<uint64_t>(most) + 1, "models");
    points = sweep_counts(*model, order, eval, most, [&](const SweepPoint& point) {
      progress.advance(1, fmt::format("{} removed: perplexity {:.2f}", point.removed, point.perplexity));
      return !interrupted();
    });
  }
  if (!opened.recurrent()) add_sizes(points, order, opened.loaded.config(), torch::elementSize(opened.loaded.model->dtype()));
  const int64_t knee = knee_of(points), within = largest_within(points, 0.10);
  auto document = nlohmann::ordered_json{{"model", options.model},
                                         {"metric", name_of(options.metric)},
                                         {"order", order},
                                         {"knee", knee},
                                         {"largest_within_10_percent", within}};
  auto& rows = document["points"] = nlohmann::ordered_json::array();
  for (const auto& point : points) {
    rows.push_back({{"removed", point.removed},
                    {"perplexity", point.perplexity},
                    {"nats_per_token", point.nats},
                    {"seconds", point.seconds},
                    {"tokens_per_second", point.tokens_per_second},
                    {"parameters", point.parameters},
                    {"bytes", point.bytes}});
  }
  auto& folder = context.folder();
  write_file(folder.artifact("sweep.json"), document.dump(1) + "\n");
  run::Report report(folder.path(), {.method = "shortgpt",
                                     .title = "How many layers of " + options.model + " can go",
                                     .paper = "arXiv:2403.03853v3",
                                     .what = fmt::format("Layers removed one after another, lowest {} first.", name_of(options.metric))});
  report.heading("The curve");
  draw_sweep(report, points, knee);
  const auto page = report.write();
  context.line("{:>8} {:>12} {:>9} {:>12} {:>11}", "removed", "perplexity", "rise", "parameters", "tokens/s");
  for (const auto& point : points) {
    context.line("{:>8} {:>12.3f} {:>8.1f}% {:>12} {:>11.0f}{}", point.removed, point.perplexity,
                 100 * (point.perplexity / points.front().perplexity - 1),
                 point.parameters > 0 ? short_count(static_cast<double>(point.parameters)) : "-", point.tokens_per_second,
                 point.removed == knee ? "  <- knee" : "");
  }
  context.line("at most 10 % more perplexity: {} layers", within);
  context.line("report: {}", page.string());
  context.result(document);
}

}  // namespace

run::Command sweep_command() {
  return run::command("sweep", "perplexity, size and speed for every number of removed layers", sweep_options, sweep);
}

}  // namespace tessera::shortgpt
