// generate: a model continues a text, or every line of a file as one batch.

#include "tessera/app/commands.h"
#include "tessera/app/machine.h"
#include "tessera/app/model_input.h"
#include "tessera/app/sampling.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/base/memory.h"

namespace tessera::app {

namespace {

using Json = nlohmann::ordered_json;

struct GenerateOptions : SamplingOptions {
  std::string model;
  std::optional<std::string> prompt, file, batch_file;
  int64_t tokens = 128;
  bool echo = false;
};

void check_generate(const GenerateOptions& options) {
  const int given = (options.prompt ? 1 : 0) + (options.file ? 1 : 0) + (options.batch_file ? 1 : 0);
  if (given > 1) throw InputError("--prompt, --file and --batch-file exclude each other; give one of them");
  if (given == 0) throw InputError("no prompt; give --prompt TEXT, --file FILE (- for standard input) or --batch-file FILE");
  if (options.prompt && options.prompt->empty()) throw InputError("--prompt is empty; give some text");
  sampling_of(options, 0);
}

std::vector<std::string> prompts_of(const GenerateOptions& options) {
  if (options.prompt) return {*options.prompt};
  if (options.file) return {read_text(options.file, "the prompt")};
  const std::string text = read_text(options.batch_file, "the list of prompts");
  std::vector<std::string> prompts;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) prompts.push_back(std::move(line));
    at = end + 1;
  }
  if (prompts.empty()) throw InputError("{}: only empty lines; give a prompt a line", tessera::quoted(*options.batch_file));
  return prompts;
}

// The end tokens of the model itself and, where it names none, the tokenizer's.
std::vector<int64_t> end_ids_of(const lm::LoadedModel& loaded) {
  if (!loaded.end_ids.empty()) return loaded.end_ids;
  if (const auto eos = loaded.tokenizer->eos_id()) return {*eos};
  return {};
}

Json timings_document(double load_seconds, const lm::GenerationTimings& timings) {
  return {{"load_s", load_seconds},
          {"prompt_s", timings.prompt_s},
          {"prompt_tokens_per_second", timings.prompt_tokens_per_second()},
          {"decode_s", timings.decode_s},
          {"decode_tokens_per_second", timings.decode_tokens_per_second()},
          {"peak_rss_bytes", process_memory().peak}};
}

Json sequence_document(const lm::Generation& generation) {
  return {{"text", generation.text},
          {"prompt_tokens", generation.prompt_tokens},
          {"tokens", generation.ids.size()},
          {"ids", generation.ids},
          {"finish_reason", std::string(lm::finish_name(generation.finish))}};
}

std::vector<std::vector<int64_t>> encode_prompts(const std::vector<std::string>& prompts, const text::Tokenizer& tokenizer) {
  std::vector<std::vector<int64_t>> encoded;
  for (const auto& prompt : prompts) {
    encoded.push_back(wide(tokenizer.encode_ids(prompt)));
    if (encoded.back().empty()) throw InputError("the prompt {} has no tokens; give some text", tessera::quoted(prompt));
  }
  return encoded;
}

// What is left of the model's context after the longest prompt, when --tokens is -1.
int64_t token_limit(const GenerateOptions& options, const lm::LoadedModel& loaded, const std::vector<std::vector<int64_t>>& prompts) {
  if (options.tokens >= 0) return options.tokens;
  size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  return std::max<int64_t>(loaded.config().max_positions - static_cast<int64_t>(longest), 0);
}

void generate(const GenerateOptions& options, run::Context& context) {
  const auto prompts = prompts_of(options);
  auto loaded = open_model(options.model, context);
  const auto ids = encode_prompts(prompts, *loaded.tokenizer);
  lm::GenerateOptions how;
  how.max_tokens = token_limit(options, loaded, ids);
  how.sampling = sampling_of(options, context.settings().seed);
  how.end_ids = end_ids_of(loaded);
  how.stop = options.stop;
  const bool one = !options.batch_file;
  if (one && options.echo) context.write(prompts.front());
  const auto result = lm::generate(loaded.model, ids, how, loaded.tokenizer.get(), [&](const lm::TokenEvent& event) {
    if (one) {
      context.write(event.text);
      std::fflush(stdout);
    }
    return !interrupted();
  });
  const Json timings = timings_document(loaded.load_seconds, result.timings);
  if (one) {
    context.write("\n");
    Json document = sequence_document(result.sequences.front());
    document["timings"] = timings;
    context.result(std::move(document));
  } else {
    Json all = Json::array();
    for (size_t i = 0; i < result.sequences.size(); ++i) {
      const auto& sequence = result.sequences[i];
      context.write((options.echo ? prompts[i] : "") + sequence.text + "\n");
      all.push_back(sequence_document(sequence));
    }
    context.result({{"results", all}, {"timings", timings}});
  }
  context.note("load {:.2f} s; prompt {} tokens, {:.0f} tokens/s; answer {} tokens, {:.1f} tokens/s; {}", loaded.load_seconds,
               result.timings.prompt_tokens, result.timings.prompt_tokens_per_second(), result.timings.decoded_tokens,
               result.timings.decode_tokens_per_second(), loaded.dtype_note);
  if (interrupted()) throw Interrupted("interrupted; the text so far is printed");
}

run::OptionTable<GenerateOptions> generate_options() {
  run::OptionTable<GenerateOptions> table;
  table.model("MODEL", &GenerateOptions::model, "model folder, .gguf, org/name in the Hugging Face cache, or an installed model's name")
      .short_name('m')
      .text("prompt", &GenerateOptions::prompt, "the text to continue")
      .short_name('p')
      .group(run::Group::input)
      .input("file", &GenerateOptions::file, "file with the text to continue; -: standard input")
      .short_name('f')
      .input("batch-file", &GenerateOptions::batch_file, "file with a prompt a line, continued as one batch")
      .number("tokens", &GenerateOptions::tokens, run::Range{-1}, "how many to write at most; -1: until the context is full")
      .short_name('n')
      .unit("tokens")
      .flag("echo", &GenerateOptions::echo, "print the prompt before its continuation")
      .group(run::Group::output);
  add_sampling(table);
  return table.check(check_generate)
      .example("tessera generate smollm2 -p \"The sea is\" -n 40", "continue a text")
      .example("tessera generate model.gguf -f notes.txt --temp 0.8 --top-p 0.95 --seed 7", "sample, repeatably")
      .example("tessera generate smollm2 --batch-file prompts.txt --json", "a prompt a line, one document");
}

}  // namespace

run::Command generate_command() { return run::command("generate", "continue a text with a language model", generate_options, generate); }

}  // namespace tessera::app
