// tessera danube sft: a chat model from a base model and conversations.

#include "tessera/base/error.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/methods/danube/sft.h"
#include "tessera/methods/danube/training_run.h"
#include "tessera/train/optim/registry.h"

namespace tessera::danube {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct SftCommand {
  std::string model;
  fs::path data;
  double lr = 1e-5, epochs = 1.0, warmup = 0.03, clip = 1.0, lora_alpha = 16.0;
  int64_t batch = 8, micro = 0, length = 16384, lora_r = 0;
  bool mask_prompt = true, merge = false, resume = false, danube_template = false;
  train::AnswersTrained answers = train::AnswersTrained::all;
};

void check_sft(const SftCommand& options) {
  if (options.merge && options.lora_r == 0) throw InputError("--merge says nothing without adapters; give --lora-r too, or leave it out");
}

run::OptionTable<SftCommand> sft_options() {
  return run::OptionTable<SftCommand>()
      .model("model", &SftCommand::model, "base model: a folder, .gguf, or an installed model's name")
      .required()
      .input("data", &SftCommand::data, "conversations: jsonl, csv or Parquet with messages, conversations, or prompt and response")
      .required()
      .number("lr", &SftCommand::lr, run::Range{0, 1}, "peak learning rate; a cosine to 0 follows the warm-up")
      .number("epochs", &SftCommand::epochs, run::Range{0.001, 1000}, "passes over the conversations")
      .number("batch", &SftCommand::batch, run::Range{1, 65536}, "conversations of an optimizer step")
      .number("micro", &SftCommand::micro, run::Range{0, 65536}, "conversations of one pass, less memory; 0: all of a step")
      .number("length", &SftCommand::length, run::Range{2, 1 << 22}, "longest conversation; the rest is cut off")
      .unit("tokens")
      .number("warmup", &SftCommand::warmup, run::Range{0, 1}, "share of the tokens over which the rate rises")
      .number("clip", &SftCommand::clip, run::Range{0, 1e9}, "largest norm of the gradient; 0: any")
      .choice(
          "answers", &SftCommand::answers,
          {{"all", train::AnswersTrained::all, "every answer of a conversation"}, {"last", train::AnswersTrained::last, "the last one"}},
          "what is trained")
      .flag("mask-prompt", &SftCommand::mask_prompt, "leave prompts out of the loss")
      .flag("danube-template", &SftCommand::danube_template, "Danube's chat template instead of the model's own")
      .number("lora-r", &SftCommand::lora_r, run::Range{0, 65536}, "rank of LoRA adapters; 0: all weights")
      .number("lora-alpha", &SftCommand::lora_alpha, run::Range{0, 1e6}, "adapters count alpha / r times")
      .flag("merge", &SftCommand::merge, "with --lora-r, write the merged model too")
      .flag("resume", &SftCommand::resume, "continue the run in --out from its last checkpoint")
      .group(run::Group::run)
      .example("tessera danube sft --model base/ --data chat.jsonl --out runs/sft", "one epoch over all weights, as in the paper")
      .example("tessera danube sft --model smollm2 --data chat.jsonl --lora-r 8 --merge --lr 1e-4", "adapters on an installed model")
      .example("tessera danube sft --model base/ --data chat.jsonl --out runs/sft --resume", "go on after Ctrl-C or a crash")
      .check(check_sft);
}

void sft(const SftCommand& options, run::Context& context) {
  auto loaded = open_model(options.model, context);
  const auto chat = chat_template_of(loaded, !options.danube_template);
  const bool new_template = loaded.chat_template.empty() || options.danube_template;
  const int64_t length = std::min(options.length, loaded.config().max_positions);
  auto data = read_sft(options.data, {.tokenizer = *loaded.tokenizer, .chat = chat, .trained = options.answers}, length);
  const int64_t read = static_cast<int64_t>(data.examples.size());
  context.note("{} conversations, {} of {} tokens are answers; {} cut at {} tokens, {} left out", read, data.answer_tokens, data.tokens,
               data.cut, length, data.dropped);
  auto& model = loaded.model;
  const Tuning tuning{options.lora_r, options.lora_alpha, context.settings().seed};
  const auto opened = open_run(context, options.resume);
  prepare_tuning(model, tuning);
  const std::string jinja = new_template ? chat.source() : std::string();
  auto task = tuned_task(model, tuning, loaded.path, jinja);
  const SftOptions how{.order = {.examples = read, .batch = options.batch, .epochs = options.epochs, .seed = tuning.seed},
                       .micro = options.micro,
                       .mask_prompt = options.mask_prompt};
  const int64_t tokens = add_sft_batches(task, model, std::move(data.examples), how);
  train::Trainer trainer(
      std::move(task),
      {.optimizer =
           [](std::vector<train::Parameter> parameters) { return train::make_optimizer({.name = "adamw"}, std::move(parameters)); },
       .schedule = {.peak = options.lr, .warmup = static_cast<int64_t>(options.warmup * static_cast<double>(tokens)), .total = tokens},
       .clip = options.clip});
  const auto log = run_training(trainer, opened,
                                {.title = {.title = "Supervised fine-tuning",
                                           .what = fmt::format("{} conversations, {} a step.", read, options.batch),
                                           .tokens = tokens},
                                 .steps = how.order.steps(),
                                 .stage_names = {"loss of answers"},
                                 .go_on = fmt::format("tessera danube sft --model {} --data {}", options.model, options.data.string())},
                                context);
  const auto written = write_tuned_results(opened, model, tuning, options.merge, loaded.path, jinja, context);
  const double loss = log.steps().empty() ? 0.0 : log.steps().back().smoothed;
  context.line("{} steps, loss {:.3f} nats an answer token; report: {}", trainer.steps_done(), loss,
               (opened.folder->path() / "report.html").string());
  context.result({{"run", opened.folder->path().string()},
                  {"model", written.model.empty() ? Json() : Json(written.model.string())},
                  {"adapter", written.adapter.empty() ? Json() : Json(written.adapter.string())},
                  {"conversations", read},
                  {"cut", data.cut},
                  {"dropped", data.dropped},
                  {"answer_tokens", data.answer_tokens},
                  {"steps", trainer.steps_done()},
                  {"tokens", trainer.tokens_seen()},
                  {"smoothed", loss}});
}

}  // namespace

run::Command sft_command() { return run::command("sft", "fine-tune on conversations, prompts masked", sft_options, sft); }

}  // namespace tessera::danube
