// tessera danube dpo: a chat model from preference pairs.

#include "tessera/base/error.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/dpo.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/methods/danube/training_run.h"
#include "tessera/train/optim/registry.h"

namespace tessera::danube {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using train::PreferenceLoss;

struct DpoCommand {
  std::string model;
  fs::path data;
  double beta = 0.2, lr = 1e-5, epochs = 1.0, warmup = 0.03, clip = 1.0, lora_alpha = 16.0, label_smoothing = 0.0;
  int64_t batch = 2, micro = 0, length = 16384, lora_r = 4;
  PreferenceLoss loss = PreferenceLoss::sigmoid;
  bool length_normalised = false, merge = false, resume = false, danube_template = false;
};

void check_dpo(const DpoCommand& options) {
  train::check_preference({options.loss, options.beta, options.label_smoothing, options.length_normalised});
}

run::OptionTable<DpoCommand> dpo_options() {
  return run::OptionTable<DpoCommand>()
      .model("model", &DpoCommand::model, "chat model, after sft: a folder, .gguf, or an installed model's name")
      .required()
      .input("data", &DpoCommand::data, "pairs: rows with prompt or messages, chosen, rejected; or with prompt, answers and ranks")
      .required()
      .choice("loss", &DpoCommand::loss,
              {{"sigmoid", PreferenceLoss::sigmoid, "DPO"},
               {"ipo", PreferenceLoss::ipo, "a square around a fixed margin, by token"},
               {"hinge", PreferenceLoss::hinge, "SLiC"}},
              "what is minimised")
      .number("beta", &DpoCommand::beta, run::Range{0, 100}, "pull to the reference")
      .number("label-smoothing", &DpoCommand::label_smoothing, run::Range{0, 0.5}, "sigmoid: share of pairs labelled the wrong way round")
      .flag("length-normalised", &DpoCommand::length_normalised, "log-probabilities by token: sums favour length")
      .number("lora-r", &DpoCommand::lora_r, run::Range{0, 65536}, "rank of the adapters; 0: all weights")
      .number("lora-alpha", &DpoCommand::lora_alpha, run::Range{0, 1e6}, "adapters count alpha / r times")
      .flag("merge", &DpoCommand::merge, "write the merged model too")
      .number("lr", &DpoCommand::lr, run::Range{0, 1}, "peak learning rate; a cosine to 0 follows the warm-up")
      .number("epochs", &DpoCommand::epochs, run::Range{0.001, 1000}, "passes over the pairs")
      .number("batch", &DpoCommand::batch, run::Range{1, 65536}, "pairs of an optimizer step")
      .number("micro", &DpoCommand::micro, run::Range{0, 65536}, "pairs of one pass, less memory; 0: all of a step")
      .number("length", &DpoCommand::length, run::Range{2, 1 << 22}, "pairs with a longer answer are left out")
      .unit("tokens")
      .number("warmup", &DpoCommand::warmup, run::Range{0, 1}, "share of the tokens over which the rate rises")
      .number("clip", &DpoCommand::clip, run::Range{0, 1e9}, "largest norm of the gradient; 0: any")
      .flag("danube-template", &DpoCommand::danube_template, "Danube's chat template instead of the model's own")
      .flag("resume", &DpoCommand::resume, "continue the run in --out from its last checkpoint")
      .group(run::Group::run)
      .example("tessera danube dpo --model runs/sft/model --data pairs.jsonl --merge --out runs/dpo1", "the paper's first round")
      .example("tessera danube dpo --model runs/dpo1/model --data ranked.jsonl --lr 3e-6 --merge", "the second, on the merged model")
      .example("tessera danube dpo --model smollm2 --data pairs.jsonl --loss ipo --beta 0.1 --json", "another loss, for a script")
      .check(check_dpo);
}

void dpo(const DpoCommand& options, run::Context& context) {
  auto loaded = open_model(options.model, context);
  const auto chat = chat_template_of(loaded, !options.danube_template);
  const bool new_template = loaded.chat_template.empty() || options.danube_template;
  const int64_t length = std::min(options.length, loaded.config().max_positions);
  auto data = read_dpo(options.data, {.tokenizer = *loaded.tokenizer, .chat = chat}, length);
  const int64_t read = static_cast<int64_t>(data.pairs.size());
  context.note(
      "{} pairs; {} with equal answers and {} longer than {} tokens left out; answers have {:.0f} (chosen) and {:.0f} (rejected) "
      "tokens on average",
      read, data.equal, data.too_long, length, data.chosen_tokens, data.rejected_tokens);
  auto& model = loaded.model;
  const Tuning tuning{options.lora_r, options.lora_alpha, context.settings().seed};
  const auto opened = open_run(context, options.resume);
  prepare_tuning(model, tuning);
  const std::string jinja = new_template ? chat.source() : std::string();
  auto task = tuned_task(model, tuning, loaded.path, jinja);
  const DpoOptions how{.order = {.examples = read, .batch = options.batch, .epochs = options.epochs, .seed = tuning.seed},
                       .micro = options.micro,
                       .preference = {options.loss, options.beta, options.label_smoothing, options.length_normalised}};
  context.note("log-probabilities of the reference");
  const auto batches = add_dpo_batches(task, model, std::move(data.pairs), how);
  const double tokens = static_cast<double>(batches.tokens);
  train::Trainer trainer(
      std::move(task),
      {.optimizer =
           [](std::vector<train::Parameter> parameters) { return train::make_optimizer({.name = "adamw"}, std::move(parameters)); },
       .schedule = {.peak = options.lr, .warmup = static_cast<int64_t>(options.warmup * tokens), .total = batches.tokens},
       .clip = options.clip});
  const auto figures = batches.figures;
  const auto log = run_training(trainer, opened,
                                {.title = {.title = "Direct preference optimisation",
                                           .what = fmt::format("{} pairs, {} a step, beta {}.", read, options.batch, options.beta),
                                           .tokens = batches.tokens,
                                           .own = {"accuracy", "margin", "chosen reward", "rejected reward", "log ratio"}},
                                 .steps = how.order.steps(),
                                 .stage_names = {"loss of pairs"},
                                 .own =
                                     [&] {
                                       return std::vector<double>{figures->accuracy, figures->margin, figures->chosen_reward,
                                                                  figures->rejected_reward, figures->log_ratio};
                                     },
                                 .go_on = fmt::format("tessera danube dpo --model {} --data {}", options.model, options.data.string())},
                                context);
  const auto written = write_tuned_results(opened, model, tuning, options.merge, loaded.path, jinja, context);
  const double loss = log.steps().empty() ? 0.0 : log.steps().back().smoothed;
  context.line("{} steps, loss {:.4f} (ln 2 = 0.6931 is no preference), margin {:.3f}; report: {}", trainer.steps_done(), loss,
               figures->margin, (opened.folder->path() / "report.html").string());
  context.result({{"run", opened.folder->path().string()},
                  {"model", written.model.empty() ? Json() : Json(written.model.string())},
                  {"adapter", written.adapter.empty() ? Json() : Json(written.adapter.string())},
                  {"pairs", read},
                  {"equal", data.equal},
                  {"too_long", data.too_long},
                  {"chosen_tokens", data.chosen_tokens},
                  {"rejected_tokens", data.rejected_tokens},
                  {"steps", trainer.steps_done()},
                  {"smoothed", loss},
                  {"margin", figures->margin}});
}

}  // namespace

run::Command dpo_command() { return run::command("dpo", "tune a chat model on preference pairs", dpo_options, dpo); }

}  // namespace tessera::danube
