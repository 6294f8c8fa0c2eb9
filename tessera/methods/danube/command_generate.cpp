// tessera danube generate, chat: text from a model with its own sliding window, another, or none.

#include <iostream>

#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"
#include "tessera/lm/generate.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/opened.h"

namespace tessera::danube {
namespace {

using Json = nlohmann::ordered_json;

struct SamplingCommand {
  std::string model;
  std::optional<std::string> window;
  bool window_inclusive = false, danube_template = false;
  int64_t max_new = 256, top_k = 0;
  double temperature = 0.0, top_p = 1.0, min_p = 0.0, repetition_penalty = 1.0;
  std::vector<std::string> stop;
};

struct GenerateCommand : SamplingCommand {
  std::string prompt;
  int64_t samples = 1;
  bool as_chat = false, truncate = false;
};

struct ChatCommand : SamplingCommand {
  std::string system;
};

void check_window(const SamplingCommand& options) { (void)parse_window(options.window, false); }

template <class T>
void add_sampling(run::OptionTable<T>& table) {
  const auto real = [](double SamplingCommand::*member) { return static_cast<double T::*>(member); };
  table.number("max-new", static_cast<int64_t T::*>(&SamplingCommand::max_new), run::Range{1, 1 << 22}, "how many to write at most")
      .short_name('n')
      .unit("tokens")
      .number("temperature", real(&SamplingCommand::temperature), run::Range{0, 100}, "0 takes the most likely token")
      .number("top-k", static_cast<int64_t T::*>(&SamplingCommand::top_k), run::Range{0}, "keep the k most likely tokens; 0: all")
      .number("top-p", real(&SamplingCommand::top_p), run::Range{1e-6, 1}, "keep the likeliest tokens that together reach this probability")
      .number("min-p", real(&SamplingCommand::min_p), run::Range{0, 1}, "keep tokens at least this times as likely as the likeliest")
      .number("repetition-penalty", real(&SamplingCommand::repetition_penalty), run::Range{0.01, 100},
              "make tokens that are there already less likely; the paper's chat takes 1.1")
      .list("stop", static_cast<std::vector<std::string> T::*>(&SamplingCommand::stop), "end the answer before one of these texts")
      .text("window", static_cast<std::optional<std::string> T::*>(&SamplingCommand::window),
            "tokens that attention sees, or off; left out: as the model says")
      .metavar("N|off")
      .flag("window-inclusive", static_cast<bool T::*>(&SamplingCommand::window_inclusive),
            "with --window N see N tokens and the query's own, as FlashAttention-2 counts")
      .flag("danube-template", static_cast<bool T::*>(&SamplingCommand::danube_template), "Danube's chat template, not the model's own");
}

lm::GenerateOptions generate_with(const SamplingCommand& options, const lm::LoadedModel& loaded, uint64_t seed) {
  lm::GenerateOptions how;
  how.max_tokens = options.max_new;
  how.sampling = {.temperature = options.temperature,
                  .top_k = options.top_k,
                  .top_p = options.top_p,
                  .min_p = options.min_p,
                  .repetition_penalty = options.repetition_penalty,
                  .seed = seed};
  how.end_ids = end_ids_of(loaded);
  how.stop = options.stop;
  return how;
}

std::vector<int64_t> prompt_ids(const GenerateCommand& options, const lm::LoadedModel& loaded) {
  std::vector<int64_t> ids;
  if (options.as_chat) {
    const auto chat = chat_template_of(loaded, !options.danube_template);
    ids = encode(*loaded.tokenizer, chat.render(Json::array({{{"role", "user"}, {"content", options.prompt}}})).text, false);
  } else {
    ids = encode(*loaded.tokenizer, options.prompt, true);
  }
  if (ids.empty()) throw InputError("--prompt is empty; give some text");
  const int64_t room = loaded.config().max_positions - options.max_new;
  if (static_cast<int64_t>(ids.size()) <= room) return ids;
  if (!options.truncate || room < 1)
    throw InputError(
        "the prompt has {} tokens and --max-new is {}: more than the context of {}; give --truncate to drop its beginning, or "
        "a smaller --max-new",
        ids.size(), options.max_new, loaded.config().max_positions);
  ids.erase(ids.begin(), ids.end() - room);
  return ids;
}

void generate(const GenerateCommand& options, run::Context& context) {
  auto loaded = open_model(options.model, context, parse_window(options.window, options.window_inclusive));
  const auto ids = prompt_ids(options, loaded);
  const auto how = generate_with(options, loaded, context.settings().seed);
  const bool one = options.samples == 1;
  const std::vector<std::vector<int64_t>> prompts(static_cast<size_t>(options.samples), ids);
  const auto result = lm::generate(loaded.model, prompts, how, loaded.tokenizer.get(), [&](const lm::TokenEvent& event) {
    if (one) context.write(event.text);
    return !interrupted();
  });
  auto samples = Json::array();
  for (const auto& each : result.sequences) {
    if (!one) context.write("--- " + std::to_string(samples.size() + 1) + "\n" + each.text + "\n");
    samples.push_back({{"text", each.text}, {"tokens", each.ids.size()}, {"finish_reason", lm::finish_name(each.finish)}});
  }
  if (one) context.write("\n");
  const int64_t window = loaded.config().window;
  context.note("window {}, prompt {} tokens, {:.0f} tokens/s, decoding {:.1f} tokens/s; {}",
               window > 0 ? std::to_string(window) : std::string("off"), ids.size(), result.timings.prompt_tokens_per_second(),
               result.timings.decode_tokens_per_second(), loaded.dtype_note);
  context.result({{"text", result.sequences.front().text},
                  {"samples", samples},
                  {"prompt_tokens", ids.size()},
                  {"window", window > 0 ? Json(window) : Json()},
                  {"timings",
                   {{"load_s", loaded.load_seconds},
                    {"prompt_s", result.timings.prompt_s},
                    {"prompt_tokens_per_second", result.timings.prompt_tokens_per_second()},
                    {"decode_s", result.timings.decode_s},
                    {"decode_tokens_per_second", result.timings.decode_tokens_per_second()}}}});
  if (interrupted()) throw Interrupted("interrupted; the text so far is printed");
}

// One conversation; what the model has read stays in its cache between turns.
class Conversation {
 public:
  Conversation(lm::LoadedModel& loaded, const ChatCommand& options)
      : loaded_(loaded), options_(options), chat_(chat_template_of(loaded, !options.danube_template)) {
    reset();
  }
  void reset() {
    messages_ = Json::array();
    if (!options_.system.empty()) messages_.push_back({{"role", "system"}, {"content", options_.system}});
    cache_ = loaded_.model->new_cache();
    seen_.clear();
  }
  lm::GenerationResult answer(const std::string& text, uint64_t seed, const lm::OnToken& on_token) {
    messages_.push_back({{"role", "user"}, {"content", text}});
    auto ids = fitting_prompt();
    const auto cached = static_cast<size_t>(cache_.length);
    if (cached > 0 && (ids.size() <= cached || !std::equal(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(cached), seen_.begin())))
      cache_ = loaded_.model->new_cache();
    auto how = generate_with(options_, loaded_, seed);
    how.cache = &cache_;
    auto result = lm::generate(loaded_.model, {ids}, how, loaded_.tokenizer.get(), on_token);
    messages_.push_back({{"role", "assistant"}, {"content", result.sequences.front().text}});
    seen_ = std::move(ids);
    seen_.insert(seen_.end(), result.sequences.front().ids.begin(), result.sequences.front().ids.end());
    return result;
  }
  const Json& messages() const { return messages_; }

 private:
  // Drops the oldest turns (not the system's) until the rest fits.
  std::vector<int64_t> fitting_prompt() {
    for (;;) {
      auto ids = encode(*loaded_.tokenizer, chat_.render(messages_).text, false);
      if (static_cast<int64_t>(ids.size()) + options_.max_new <= loaded_.config().max_positions) return ids;
      const size_t first = options_.system.empty() ? 0 : 1;
      if (messages_.size() <= first + 1)
        throw InputError("the message has {} tokens with its template and --max-new is {}: more than the context of {}; give less text",
                         ids.size(), options_.max_new, loaded_.config().max_positions);
      messages_.erase(first);
    }
  }

  lm::LoadedModel& loaded_;
  const ChatCommand& options_;
  text::ChatTemplate chat_;
  Json messages_;
  nn::KvCache cache_;
  std::vector<int64_t> seen_;  // what the cache has read, and the answer's last token
};

void chat(const ChatCommand& options, run::Context& context) {
  auto loaded = open_model(options.model, context, parse_window(options.window, options.window_inclusive));
  Conversation conversation(loaded, options);
  context.note("a line is a message; /reset forgets the conversation, Ctrl-D ends");
  std::string line;
  uint64_t turns = 0;
  while (std::getline(std::cin, line)) {
    if (line == "/reset") {
      conversation.reset();
      context.note("the conversation is forgotten");
      continue;
    }
    if (line.empty()) continue;
    conversation.answer(line, context.settings().seed + turns++, [&](const lm::TokenEvent& event) {
      context.write(event.text);
      return !interrupted();
    });
    context.write("\n");
    forget_interrupt();
  }
  context.result({{"messages", conversation.messages()}, {"turns", turns}});
}

run::OptionTable<GenerateCommand> generate_options() {
  run::OptionTable<GenerateCommand> table;
  table
      .model("MODEL", static_cast<std::string GenerateCommand::*>(&GenerateCommand::model),
             "model folder, .gguf, or an installed model's name")
      .text("prompt", &GenerateCommand::prompt, "the text to continue")
      .short_name('p')
      .required();
  add_sampling(table);
  return table.number("samples", &GenerateCommand::samples, run::Range{1, 4096}, "answers, drawn as one batch")
      .flag("as-chat", &GenerateCommand::as_chat, "put the prompt into the chat template")
      .flag("truncate", &GenerateCommand::truncate, "drop the beginning of a prompt that is longer than the context")
      .example("tessera danube generate danube-chat/ -p \"Why is the sky blue?\" --as-chat --repetition-penalty 1.1", "as in the paper")
      .example("tessera danube generate smollm2 -p \"The sea is\" -n 40 --window 64", "with a window of 64 tokens")
      .example("tessera danube generate smollm2 -p \"Once\" --temperature 0.8 --samples 4 --json", "four samples, for a script")
      .check([](const GenerateCommand& options) { check_window(options); });
}

run::OptionTable<ChatCommand> chat_options() {
  run::OptionTable<ChatCommand> table;
  table
      .model("MODEL", static_cast<std::string ChatCommand::*>(&ChatCommand::model),
             "chat model: a folder, .gguf, or an installed model's name")
      .text("system", &ChatCommand::system, "what the model is told before the conversation");
  add_sampling(table);
  return table.example("tessera danube chat smollm2", "talk; /reset starts anew")
      .example("tessera danube chat runs/dpo/model --temperature 0.7 --repetition-penalty 1.1 --window 256", "sampled, with a window")
      .example("printf 'Hello\\n' | tessera danube chat smollm2 --json", "one document with all messages, for a script")
      .check([](const ChatCommand& options) { check_window(options); });
}

}  // namespace

run::Command generate_command() {
  return run::command("generate", "continue a text, with a sliding window or none", generate_options, generate);
}
run::Command chat_command() { return run::command("chat", "talk with a model in its chat template", chat_options, chat); }

}  // namespace tessera::danube
