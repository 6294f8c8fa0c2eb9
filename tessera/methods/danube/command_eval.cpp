// tessera danube eval: perplexity of a text, or multiple-choice accuracy with 0 or more solved examples in front.

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/eval/choices.h"
#include "tessera/eval/perplexity.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/opened.h"

namespace tessera::danube {
namespace {

struct EvalCommand {
  std::string model;
  std::optional<std::filesystem::path> ppl, mc;
  std::optional<std::string> window;
  int64_t seq = 1024, shots = 0;
};

void check_eval(const EvalCommand& options) {
  if (options.ppl.has_value() == options.mc.has_value()) throw InputError("give either --ppl FILE or --mc QUESTIONS");
  if (options.ppl && options.shots > 0) throw InputError("--shots {} goes with --mc only; leave it out", options.shots);
  (void)parse_window(options.window, false);
}

void eval_perplexity(const EvalCommand& options, lm::LoadedModel& loaded, run::Context& context) {
  const auto ids = loaded.tokenizer->encode_ids(read_file(*options.ppl), {.add_special_tokens = false});
  if (ids.size() < 2) throw InputError("--ppl {}: {} tokens, and 2 are needed; give a longer text", options.ppl->string(), ids.size());
  Progress progress(context.progress(), "perplexity", 0, "windows");
  eval::PerplexityOptions how;
  how.window = options.seq;
  how.progress = [&](int64_t done, int64_t, double) {
    progress.update(static_cast<uint64_t>(done));
    throw_if_interrupted();
    return true;
  };
  const auto result = eval::perplexity(loaded.model, ids, how);
  context.line("perplexity {:.4f} ({:.5f} nats a token, {} tokens in {} rows of {})", result.perplexity, result.nats_per_token,
               result.tokens, result.windows, result.window);
  context.result(eval::to_json(result));
}

// The first `shots` questions with their answers, put in front of all others.
std::vector<eval::ChoiceItem> with_shots(std::vector<eval::ChoiceItem> items, int64_t shots) {
  std::string solved;
  for (int64_t i = 0; i < shots; ++i) {
    const auto& item = items[static_cast<size_t>(i)];
    solved += item.question + item.choices[item.answer] + "\n\n";
  }
  items.erase(items.begin(), items.begin() + shots);
  for (auto& item : items) item.question = solved + item.question;
  return items;
}

void eval_choices(const EvalCommand& options, lm::LoadedModel& loaded, run::Context& context) {
  auto items = eval::read_choice_items(*options.mc);
  if (static_cast<int64_t>(items.size()) <= options.shots)
    throw InputError("--mc {}: {} questions and {} of them are shots; give more questions", options.mc->string(), items.size(),
                     options.shots);
  items = with_shots(std::move(items), options.shots);
  Progress progress(context.progress(), "choices", items.size(), "items");
  eval::ChoiceOptions how;
  how.progress = [&](int64_t done, int64_t) {
    progress.update(static_cast<uint64_t>(done));
    throw_if_interrupted();
    return true;
  };
  const auto result = eval::choice_accuracy(loaded.model, *loaded.tokenizer, items, how);
  context.line("acc {:.2f} %, acc_n {:.2f} % (by length), chance {:.2f} %, {} questions, {}-shot", 100 * result.accuracy,
               100 * result.accuracy_by_length, 100 * result.chance, result.items, options.shots);
  auto document = eval::to_json(result);
  document["shots"] = options.shots;
  context.result(std::move(document));
}

void eval_model(const EvalCommand& options, run::Context& context) {
  auto loaded = open_model(options.model, context, parse_window(options.window, false));
  if (options.ppl) return eval_perplexity(options, loaded, context);
  eval_choices(options, loaded, context);
}

run::OptionTable<EvalCommand> eval_options() {
  return run::OptionTable<EvalCommand>()
      .model("MODEL", &EvalCommand::model, "model folder, .gguf, or an installed model's name")
      .input("ppl", &EvalCommand::ppl, "text whose perplexity is measured")
      .input("mc", &EvalCommand::mc, "questions with choices and answer: jsonl, csv or Parquet")
      .number("shots", &EvalCommand::shots, run::Range{0, 1000},
              "with --mc, so many solved questions in front of each, as the harness does")
      .number("seq", &EvalCommand::seq, run::Range{2, 1 << 22}, "with --ppl, length of a row; each is read from position 0")
      .unit("tokens")
      .text("window", &EvalCommand::window, "tokens that attention sees, or off; left out: as the model says")
      .metavar("N|off")
      .example("tessera danube eval smollm2 --ppl book.txt --window 256", "what a window costs on your text")
      .example("tessera danube eval danube-chat/ --mc arc.jsonl", "0-shot: acc, and acc_n by length")
      .example("tessera danube eval danube-chat/ --mc trivia.jsonl --shots 5 --json", "5-shot, for a script")
      .check(check_eval);
}

}  // namespace

run::Command eval_command() { return run::command("eval", "perplexity of a text, accuracy on questions", eval_options, eval_model); }

}  // namespace tessera::danube
