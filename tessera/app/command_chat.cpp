// chat: a conversation on a terminal, or one turn a line through a pipe.

#include <unistd.h>

#include "tessera/app/chat_input.h"
#include "tessera/app/chat_session.h"
#include "tessera/app/commands.h"
#include "tessera/app/model_input.h"
#include "tessera/app/sampling.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/base/json.h"
#include "tessera/run/options_parse.h"

namespace tessera::app {

namespace {

using Json = nlohmann::ordered_json;

struct ChatOptions : SamplingOptions {
  std::string model;
  std::string system;
  std::optional<std::string> chat_template;
  int64_t tokens = 1024, context = 0;

  ChatOptions() {
    temperature = 0.7;
    top_p = 0.9;
  }
};

const char* const kChatHelp =
    "/system TEXT   set the system message (nothing: remove it)\n"
    "/reset         forget the conversation, keep the system message\n"
    "/retry         another answer to your last message\n"
    "/save FILE     keep the conversation\n"
    "/load FILE     go on with a kept one\n"
    "/set           show the settings; /set temp 0.7 changes one\n"
    "/quit          leave (or Ctrl-D)\n"
    "A trailing \\ or \"\"\" ... \"\"\" makes a message of several lines, and so does a paste. Ctrl-C stops an answer.\n";

run::OptionTable<ChatOptions> chat_options();

class Chat {
 public:
  Chat(const ChatOptions& options, run::Context& context, ChatSession session)
      : options_(options), context_(context), session_(std::move(session)), input_(chat_history_file()) {
    session_.set_system(options.system);
  }

  void run() {
    if (input_.on_terminal()) context_.note("/help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves");
    while (const auto message = input_.read()) {
      if (input_.on_terminal()) forget_interrupt();  // one that came before the line was edited stops no answer
      if (message->find_first_not_of(" \t\n") == std::string::npos) continue;
      try {
        if (!take(*message)) return;
      } catch (const InputError& error) {
        if (!input_.on_terminal()) throw;
        context_.note("{}", error.what());
      }
      if (!input_.on_terminal() && interrupted()) throw Interrupted("interrupted; the answers so far are printed");
      forget_interrupt();
    }
    if (input_.on_terminal()) context_.write("\n");
  }

 private:
  // False: leave.
  bool take(const std::string& message) {
    if (!message.starts_with("/")) return say([&](const auto& how, const auto& heard) { return session_.reply(message, how, heard); });
    const auto blank = message.find_first_of(" \n");
    const std::string name = message.substr(0, blank);
    const auto begin = blank == std::string::npos ? blank : message.find_first_not_of(" \n", blank);
    const std::string rest = begin == std::string::npos ? "" : message.substr(begin);
    if (name == "/quit" || name == "/exit") return false;
    if (name == "/help") return show(kChatHelp);
    if (name == "/system") return session_.set_system(rest), show(rest.empty() ? "no system message\n" : "system message set\n");
    if (name == "/reset") return session_.reset(), show("the conversation is forgotten\n");
    if (name == "/retry") return say([&](const auto& how, const auto& heard) { return session_.retry(how, heard); });
    if (name == "/save") return save(rest);
    if (name == "/load") return load(rest);
    if (name == "/set") return set(rest);
    const std::string near = run::nearest(name, {"/help", "/system", "/reset", "/retry", "/save", "/load", "/set", "/quit"});
    throw InputError("unknown command {}; {}", tessera::quoted(name), near.empty() ? "/help lists them" : "did you mean " + near + "?");
  }

  // Words of the program, not of the model: stderr keeps them out of what scripts read.
  bool show(const std::string& text) {
    context_.note("{}", text.substr(0, text.size() - 1));
    return true;
  }

  template <class Ask>
  bool say(const Ask& ask) {
    ChatSettings how{.sampling = sampling_of(options_, context_.settings().seed), .stop = options_.stop, .max_tokens = options_.tokens};
    const ChatAnswer answer = ask(how, [&](const std::string& piece) {
      context_.write(piece);
      std::fflush(stdout);
      return !interrupted();
    });
    context_.write("\n");
    const auto& timings = answer.timings;
    context_.result_line({{"text", answer.text},
                          {"prompt_tokens", answer.prompt_tokens},
                          {"reused_tokens", answer.reused_tokens},
                          {"tokens", timings.decoded_tokens + 1},
                          {"finish_reason", answer.context_full ? "context" : std::string(lm::finish_name(answer.finish))},
                          {"timings",
                           {{"prompt_s", timings.prompt_s},
                            {"decode_s", timings.decode_s},
                            {"decode_tokens_per_second", timings.decode_tokens_per_second()}}}});
    if (answer.context_full)
      context_.note("the context is full ({} tokens): the answer was cut; /reset starts anew", session_.context_limit());
    if (input_.on_terminal()) tell_speed(answer);
    return true;
  }

  void tell_speed(const ChatAnswer& answer) {
    const bool dim = context_.progress().colour;
    context_.note("{}[{} tokens, {:.1f} tokens/s; first after {:.2f} s; context {} of {}{}]{}", dim ? "\x1b[2m" : "",
                  answer.context_tokens - answer.prompt_tokens, answer.timings.decode_tokens_per_second(), answer.timings.prompt_s,
                  answer.context_tokens, session_.context_limit(), answer.finish == lm::FinishReason::interrupted ? "; stopped" : "",
                  dim ? "\x1b[0m" : "");
  }

  bool save(const std::string& file) {
    if (file.empty()) throw InputError("/save needs a file; give /save chat.json");
    std::error_code error;
    if (std::filesystem::exists(file, error) && file != saved_ && !context_.settings().force)
      throw InputError("{} exists already; give another file, or start with --force", tessera::quoted(file));
    write_file(file, session_.save().dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    saved_ = file;
    return show(fmt::format("{} messages in {}\n", session_.messages().size(), file));
  }

  bool load(const std::string& file) {
    if (file.empty()) throw InputError("/load needs a file; give /load chat.json");
    session_.load(try_parse_json(read_file(file, uint64_t{64} << 20)));
    saved_ = file;
    return show(fmt::format("{} messages from {}\n", session_.messages().size(), file));
  }

  bool set(const std::string& words) {
    static const std::vector<std::string> names = {"temp", "top-k", "top-p", "min-p", "repeat-penalty", "tokens"};
    const auto table = chat_options();
    const auto blank = words.find(' ');
    const auto begin = words.find_first_not_of(' ', blank);
    if (blank == std::string::npos || begin == std::string::npos) {
      return show(fmt::format("temp {}, top-k {}, top-p {}, min-p {}, repeat-penalty {}, tokens {}\n", options_.temperature, options_.top_k,
                              options_.top_p, options_.min_p, options_.repeat_penalty, options_.tokens));
    }
    const std::string name = words.substr(0, blank), value = words.substr(begin);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string near = run::nearest(name, names);
      throw InputError("/set {}: no such setting; {}", tessera::quoted(name),
                       near.empty() ? "/set shows them" : "did you mean " + near + "?");
    }
    const run::OptionRow& row = *run::find_row(table.rows(), name);
    row.assign(&options_, row, {{value}, run::Source::option, "/set " + name + " "});
    return show(fmt::format("{} = {}\n", name, value));
  }

  ChatOptions options_;
  run::Context& context_;
  ChatSession session_;
  ChatInput input_;
  std::string saved_;
};

// The model's own template, or the one of --template with the model's begin and end tokens.
text::ChatTemplate template_of(const ChatOptions& options, const lm::LoadedModel& loaded) {
  if (options.chat_template) {
    const auto piece = [&](const std::optional<text::TokenId>& id) { return id ? loaded.tokenizer->piece(*id).value_or("") : ""; };
    return text::ChatTemplate(read_file(*options.chat_template, uint64_t{16} << 20), piece(loaded.tokenizer->bos_id()),
                              piece(loaded.tokenizer->eos_id()), *options.chat_template);
  }
  if (auto own = text::ChatTemplate::load(loaded.path)) return std::move(*own);
  throw InputError("{} has no chat template; take an instruction-tuned model, give --template FILE, or use tessera generate",
                   tessera::quoted(options.model));
}

void chat(const ChatOptions& options, run::Context& context) {
  auto loaded = open_model(options.model, context);
  auto chat_template = template_of(options, loaded);
  Chat(options, context, ChatSession(std::move(loaded), std::move(chat_template), options.context)).run();
}

run::OptionTable<ChatOptions> chat_options() {
  run::OptionTable<ChatOptions> table;
  table.model("MODEL", &ChatOptions::model, "instruction-tuned model: folder, .gguf, or an installed model's name")
      .short_name('m')
      .text("system", &ChatOptions::system, "the system message")
      .group(run::Group::input)
      .input("template", &ChatOptions::chat_template, "chat template to use instead of the model's own (Jinja)")
      .group(run::Group::model)
      .number("tokens", &ChatOptions::tokens, run::Range{1}, "length of an answer at most")
      .short_name('n')
      .unit("tokens")
      .number("context", &ChatOptions::context, run::Range{0}, "length of conversation and answer at most; 0: the model's own limit")
      .short_name('c')
      .unit("tokens");
  add_sampling(table);
  return table.check([](const ChatOptions& options) { sampling_of(options, 0); })
      .example("tessera chat smollm2", "talk to an installed model")
      .example("tessera chat model.gguf --system \"Answer in French.\" --temp 0.7 --top-p 0.9", "with a system message, sampling")
      .example("tessera chat smollm2 < questions.txt", "a turn a line, answers on stdout");
}

}  // namespace

run::Command chat_command() { return run::command("chat", "talk to a language model", chat_options, chat); }

}  // namespace tessera::app
