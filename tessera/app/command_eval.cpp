// eval perplexity, eval choices: what a language model knows, in numbers.

#include "tessera/app/commands.h"
#include "tessera/app/model_input.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/eval/choices.h"
#include "tessera/eval/perplexity.h"

namespace tessera::app {

namespace {

struct PerplexityCommand {
  std::string model, file;
  int64_t window = 512, windows = 0;
  std::optional<double> max;
};

struct ChoicesCommand {
  std::string model, file;
  int64_t items = 0;
  std::optional<double> min;
};

void eval_perplexity(const PerplexityCommand& options, run::Context& context) {
  const std::string text = read_text(options.file, "the text");
  auto loaded = open_model(options.model, context);
  const auto ids = loaded.tokenizer->encode_ids(text, {.add_special_tokens = false, .parse_special_tokens = true});
  if (static_cast<int64_t>(ids.size()) < 2)
    throw InputError("{}: {} token, and 2 are needed; give a longer text", tessera::quoted(options.file), ids.size());
  Progress progress(context.progress(), "perplexity", 0, "windows");
  eval::PerplexityOptions how;
  how.window = options.window;
  how.windows = options.windows;
  how.progress = [&](int64_t done, int64_t windows, double perplexity) {
    progress.update(static_cast<uint64_t>(done), fmt::format("of {}, perplexity {:.3f}", windows, perplexity));
    return !interrupted();
  };
  const auto result = eval::perplexity(loaded.model, ids, how);
  context.line("perplexity {:.4f}  ({:.5f} nats a token, {} tokens in {} windows of {}; {:.0f} tokens/s; {})", result.perplexity,
               result.nats_per_token, result.tokens, result.windows, result.window, result.tokens_per_second, loaded.dtype_note);
  context.result(eval::to_json(result));
  if (interrupted()) throw Interrupted("interrupted after {} windows", result.windows);
  if (options.max && !(result.perplexity <= *options.max)) {
    context.note("perplexity {:.4f} is above --max {}", result.perplexity, *options.max);
    context.not_held();
  }
}

void eval_choices(const ChoicesCommand& options, run::Context& context) {
  auto items = eval::read_choice_items(options.file);
  if (items.empty()) throw InputError("{}: no items; give a data set with questions, choices and answers", tessera::quoted(options.file));
  if (options.items > 0 && options.items < static_cast<int64_t>(items.size())) items.resize(static_cast<size_t>(options.items));
  auto loaded = open_model(options.model, context);
  Progress progress(context.progress(), "choices", items.size(), "items");
  eval::ChoiceOptions how;
  how.progress = [&](int64_t done, int64_t) {
    progress.update(static_cast<uint64_t>(done));
    return !interrupted();
  };
  const auto result = eval::choice_accuracy(loaded.model, *loaded.tokenizer, items, how);
  context.line("accuracy {:.2f} %  (by length {:.2f} %, chance {:.2f} %, {} items, {:.1f} s; {})", 100 * result.accuracy,
               100 * result.accuracy_by_length, 100 * result.chance, result.items, result.seconds, loaded.dtype_note);
  context.result(eval::to_json(result));
  if (interrupted()) throw Interrupted("interrupted after {} items", result.items);
  if (options.min && !(result.accuracy >= *options.min)) {
    context.note("accuracy {:.4f} is below --min {}", result.accuracy, *options.min);
    context.not_held();
  }
}

run::OptionTable<PerplexityCommand> perplexity_options() {
  return run::OptionTable<PerplexityCommand>()
      .model("MODEL", &PerplexityCommand::model, "model folder, .gguf, or an installed model's name")
      .short_name('m')
      .input("FILE", &PerplexityCommand::file, "text; -: standard input")
      .short_name('f')
      .number("window", &PerplexityCommand::window, run::Range{2}, "length of a window; each is read from position 0, no token is added")
      .unit("tokens")
      .number("windows", &PerplexityCommand::windows, run::Range{0}, "how many windows from the start of the text; 0: all")
      .number("max", &PerplexityCommand::max, run::Range{1}, "exit with 3 when the perplexity is higher")
      .example("tessera eval perplexity smollm2 book.txt", "over the whole text, windows of 512 tokens")
      .example("tessera eval perplexity smollm2 book.txt --window 256 --windows 8 --dtype fp32 --json", "eight windows, for a script")
      .example("tessera eval perplexity small/ book.txt --max 30", "exit code 3 when it is worse");
}

run::OptionTable<ChoicesCommand> choices_options() {
  return run::OptionTable<ChoicesCommand>()
      .model("MODEL", &ChoicesCommand::model, "model folder, .gguf, or an installed model's name")
      .short_name('m')
      .input("FILE", &ChoicesCommand::file,
             "data set with question, choices, answer: jsonl, csv, Parquet; or WordNet's folder: 300 definitions")
      .short_name('f')
      .number("items", &ChoicesCommand::items, run::Range{0}, "how many items from the start; 0: all")
      .number("min", &ChoicesCommand::min, run::Range{0, 1}, "exit with 3 when the accuracy is lower")
      .example("tessera eval choices smollm2 questions.jsonl", "share of questions answered rightly")
      .example("tessera eval choices smollm2 /usr/share/wordnet", "which of four words is defined (apt-get install wordnet-base)")
      .example("tessera eval choices smollm2 test.parquet --items 200 --json", "the first 200, for a script")
      .example("tessera eval choices small/ questions.jsonl --min 0.4", "exit code 3 when it is worse");
}

}  // namespace

run::Command eval_perplexity_command() {
  return run::command("eval perplexity", "measure a model's perplexity on a text", perplexity_options, eval_perplexity);
}
run::Command eval_choices_command() {
  return run::command("eval choices", "measure how often a model picks the right answer", choices_options, eval_choices);
}

}  // namespace tessera::app
