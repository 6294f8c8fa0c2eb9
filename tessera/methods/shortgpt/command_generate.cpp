// tessera shortgpt generate: text from a model that leaves layers out, everywhere or while it reads the prompt only.

#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"
#include "tessera/lm/generate.h"
#include "tessera/methods/shortgpt/commands.h"
#include "tessera/methods/shortgpt/opened_model.h"
#include "tessera/methods/shortgpt/prune.h"

namespace tessera::shortgpt {
namespace {

enum class SkipMode { prefill, all };

struct GenerateCommand {
  std::string model, skip, prompt;
  SkipMode mode = SkipMode::prefill;
  int64_t tokens = 128;
  double temperature = 0.0;
};

run::OptionTable<GenerateCommand> generate_options() {
  return run::OptionTable<GenerateCommand>()
      .model("MODEL", &GenerateCommand::model, "model folder, .gguf, or an installed model's name")
      .text("prompt", &GenerateCommand::prompt, "text to continue")
      .short_name('p')
      .required()
      .text("skip", &GenerateCommand::skip, "layers to leave out: 21-29,3; none by default")
      .metavar("LAYERS")
      .choice("mode", &GenerateCommand::mode,
              {{"prefill", SkipMode::prefill,
                "only while reading the prompt; their keys and values are stored, and all layers write the answer"},
               {"all", SkipMode::all, "everywhere: what a pruned model says"}},
              "where the layers are left out")
      .number("tokens", &GenerateCommand::tokens, run::Range{0, 1 << 20}, "tokens to write at most")
      .short_name('n')
      .number("temp", &GenerateCommand::temperature, run::Range{0, 100}, "0 takes the likeliest token")
      .example("tessera shortgpt generate smollm2 --skip 10-14 --prompt \"The sea\"", "a cheaper prefill")
      .example("tessera shortgpt generate smollm2 --skip 10-14 --mode all --prompt \"The sea\"", "what pruning would do")
      .example("tessera shortgpt generate smollm2 --prompt \"The sea\" -n 20 --json", "the whole model, for a script");
}

void generate(const GenerateCommand& options, run::Context& context) {
  auto opened = open_model(options.model, context);
  auto& model = opened.transformer("generate");
  std::vector<int64_t> skipped;
  if (!options.skip.empty()) skipped = parse_layers(options.skip, model->depth(), "--skip");
  if (options.mode == SkipMode::all && static_cast<int64_t>(skipped.size()) >= model->depth()) {
    throw InputError("--skip {}: {} has {} layers and one must stay; name fewer", options.skip, options.model, model->depth());
  }
  const auto ids = opened.tokenizer->encode_ids(options.prompt);
  if (ids.empty()) throw InputError("--prompt: no text; give at least one character");
  lm::GenerateOptions how;
  how.max_tokens = options.tokens;
  how.sampling.temperature = options.temperature;
  how.sampling.seed = context.settings().seed;
  how.end_ids = opened.loaded.end_ids;
  how.skip = lm::Skip::blocks(skipped, options.mode == SkipMode::prefill);
  const auto result = lm::generate(model, {{ids.begin(), ids.end()}}, how, opened.tokenizer.get(), [&](const lm::TokenEvent& event) {
    context.write(event.text);
    return !interrupted();
  });
  const auto& answer = result.sequences.front();
  context.line("");
  context.note("{} prompt tokens ({:.0f} a second), {} new ones ({:.1f} a second), {} layers left out {}", answer.prompt_tokens,
               result.timings.prompt_tokens_per_second(), answer.ids.size(), result.timings.decode_tokens_per_second(), skipped.size(),
               options.mode == SkipMode::prefill ? "of the prefill" : "everywhere");
  context.result({{"text", answer.text},
                  {"ids", answer.ids},
                  {"skipped", skipped},
                  {"mode", options.mode == SkipMode::prefill ? "prefill" : "all"},
                  {"prompt_tokens", answer.prompt_tokens},
                  {"tokens", answer.ids.size()},
                  {"finish_reason", lm::finish_name(answer.finish)},
                  {"timings",
                   {{"prompt_s", result.timings.prompt_s},
                    {"prompt_tokens_per_second", result.timings.prompt_tokens_per_second()},
                    {"decode_s", result.timings.decode_s},
                    {"decode_tokens_per_second", result.timings.decode_tokens_per_second()}}}});
}

}  // namespace

run::Command generate_command() {
  return run::command("generate", "continue a text with layers left out, everywhere or in the prefill only", generate_options, generate);
}

}  // namespace tessera::shortgpt
