// tessera danube train: a language model from a person's texts, in stages of context length and data mix.

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/save.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/fp8_model.h"
#include "tessera/methods/danube/train_setup.h"
#include "tessera/methods/danube/training_run.h"
#include "tessera/train/optim/registry.h"

namespace tessera::danube {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct TrainCommand {
  std::vector<std::string> data;
  fs::path config;
  bool resume = false;
};

run::OptionTable<TrainCommand> train_options() {
  return run::OptionTable<TrainCommand>()
      .list("data", &TrainCommand::data, "texts: folders, files (txt, md, jsonl, csv, Parquet), or sources such as anarchism")
      .group(run::Group::input)
      .required()
      .input("config", &TrainCommand::config, "JSON: model, stages of tokens, seq_len and mix, optimizer, schedule, precision, seed")
      .required()
      .flag("resume", &TrainCommand::resume, "continue the run in --out from its last checkpoint")
      .group(run::Group::run)
      .example("tessera danube train --data web/,books/ --config c.json --out runs/my", "stages with a mix of two sources")
      .example("tessera danube train --data web/,books/ --config c.json --out runs/my --resume", "go on after Ctrl-C or a crash")
      .example("tessera danube train --data anarchism --config recipes/danube/small.json --out runs/small", "a complete config");
}

train::LanguageOptions language_options(const TrainConfig& config, const std::vector<std::string>& names) {
  return {.stages = stages_of(config, names),
          .batch = config.batch,
          .micro = config.micro,
          .mask_documents = config.doc_mask,
          .recompute = config.recompute,
          .weight_decay = config.weight_decay,
          .eval_rows = 16};
}

std::string write_fp8_losses(const Fp8Model& fp8, const run::RunFolder& folder) {
  auto rows = Json::array();
  for (const auto& layer : fp8.layers()) {
    const auto row = [](const Fp8Losses& losses) {
      return Json{{"underflow", losses.underflow_fraction()}, {"overflow", losses.overflow_fraction()}};
    };
    rows.push_back({{"layer", layer.name},
                    {"input", row(layer.scales->input.losses())},
                    {"weight", row(layer.scales->weight.losses())},
                    {"gradient", row(layer.scales->gradient.losses())}});
  }
  const auto path = folder.artifact("fp8.json");
  write_file(path, rows.dump(2) + "\n");
  return path.string();
}

void train_model(const TrainCommand& options, run::Context& context) {
  auto config = read_train_config(options.config);
  if (config.seed == 0) config.seed = context.settings().seed;
  const auto corpora = train::parse_corpora(options.data, options.resume);
  std::vector<std::string> names;
  names.reserve(corpora.size());
  for (const auto& corpus : corpora) names.push_back(corpus.name);
  const auto language = language_options(config, names);
  int64_t longest = 2;
  for (const auto& stage : language.stages) longest = std::max(longest, stage.length);
  check_model(config, language, longest);
  const auto opened = open_run(context, options.resume);
  const auto& run = opened.folder->path();
  const auto tokenizer = prepare_tokenizer(config, corpora, run, [&](const std::string& text) { context.note("{}", text); });
  auto tokens = [&] {
    Progress progress(context.progress(), "tokenise", 0, "bytes");
    return prepare_data(config, corpora, tokenizer, run, [&](uint64_t bytes) { progress.update(bytes); });
  }();
  const auto model = prepare_model(config, tokenizer, longest);
  const auto mixed = std::make_shared<train::MixedTokens>(
      std::move(tokens.corpora), train::MixedTokensOptions{.seed = config.seed, .piece = longest, .mask_documents = config.doc_mask});
  const auto write = [&](const fs::path& to) { lm::save_model(model, to, {.source = run / "tokenizer"}); };
  auto task = train::language_task(model, mixed, std::move(tokens.held_out), language, write);
  std::shared_ptr<Fp8Model> fp8;
  if (config.precision == Precision::fp8_emulate) {
    fp8 = std::make_shared<Fp8Model>(model, config.fp8_history);
    task = with_fp8_state(std::move(task), fp8);
  }
  train::Trainer trainer(std::move(task), {.optimizer =
                                               [&](std::vector<train::Parameter> parameters) {
                                                 return train::make_optimizer(config.optimizer, std::move(parameters));
                                               },
                                           .schedule = schedule_of(config),
                                           .clip = config.clip,
                                           .ema = config.average});
  TrainingRun what{.title = {.title = "Staged pre-training",
                             .what = fmt::format("{} parameters, {} tokens a step, {} stages.", lm::parameter_count(model->config()),
                                                 language.batch, language.stages.size()),
                             .tokens = tokens_of(config)},
                   .steps = train::steps_of(language),
                   .stage = [&](int64_t step) { return static_cast<int64_t>(train::stage_of(language, step)) + 1; },
                   .go_on = fmt::format("tessera danube train --data ... --config {}", options.config.string())};
  for (size_t i = 0; i < language.stages.size(); ++i)
    what.stage_names.push_back(fmt::format("{}: rows of {} tokens", i + 1, language.stages[i].length));
  context.note("{}: {} parameters, {} steps of {} tokens, {} stages", run.string(), lm::parameter_count(model->config()), what.steps,
               language.batch, language.stages.size());
  const auto log = run_training(trainer, opened, what, context);
  const auto path = write_result(opened, "model", [&](const fs::path& to) {
    trainer.with_averaged_weights([&] { lm::save_model(model, to, {.source = run / "tokenizer"}); });
  });
  const auto losses = fp8 ? write_fp8_losses(*fp8, *opened.folder) : std::string();
  const double smoothed = log.steps().empty() ? 0.0 : log.steps().back().smoothed;
  context.line("{} steps, {} tokens, loss {:.3f}{}, {:.0f} tokens/s", trainer.steps_done(), trainer.tokens_seen(), smoothed,
               log.held_out() ? fmt::format(", held-out loss {:.3f}", *log.held_out()) : "", log.tokens_per_second());
  if (fp8) context.line("under- and overflow by layer: {}", losses);
  context.line("model:  {}    tessera danube generate {} -p \"Once\" -n 60", path.string(), path.string());
  context.line("report: {}", (run / "report.html").string());
  context.result({{"run", run.string()},
                  {"model", path.string()},
                  {"report", (run / "report.html").string()},
                  {"steps", trainer.steps_done()},
                  {"tokens", trainer.tokens_seen()},
                  {"stages", language.stages.size()},
                  {"parameters", lm::parameter_count(model->config())},
                  {"smoothed", smoothed},
                  {"eval_loss", log.held_out() ? Json(*log.held_out()) : Json()},
                  {"tokens_per_second", log.tokens_per_second()},
                  {"fp8", fp8 ? Json(losses) : Json()}});
}

}  // namespace

run::Command train_command() {
  return run::command("train", "pre-train in stages of context length and data mix", train_options, train_model);
}

}  // namespace tessera::danube
