#pragma once
// A model's chat template: from messages to the text the model was trained on.

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/text/jinja.h"

namespace tessera::text {

struct ChatOptions {
  nlohmann::ordered_json tools = nullptr;      // array of function schemas, as OpenAI and Transformers write them; null: none
  nlohmann::ordered_json documents = nullptr;  // array of {title, text}; null: none
  bool add_generation_prompt = true;           // end with the opening of an answer
  nlohmann::ordered_json variables = nullptr;  // object of anything else the template reads (enable_thinking, ...); null: none
  std::optional<std::tm> now = std::nullopt;   // local time for strftime_now; absent: the clock's
};

struct ChatText {
  std::string text;
  std::vector<std::pair<size_t, size_t>> assistant;  // [begin, end) in bytes: what {% generation %} marks; empty without such blocks
};

// Parsed when made; rendering does not change it.
class ChatTemplate {
 public:
  // From Jinja source. `bos_token` and `eos_token` are what the template reads under these names. Throws InputError with line and column.
  explicit ChatTemplate(std::string source, std::string bos_token = "", std::string eos_token = "", std::string name = "chat template");

  // From a model: a folder (chat_template.jinja, else tokenizer_config.json, with its special tokens) or a .gguf file. A model with several
  // named templates gives `which`: "default", "tool_use" ... Nothing when the model has no template. Throws InputError when it is broken.
  static std::optional<ChatTemplate> load(const std::filesystem::path& model, std::string_view which = "default");

  // messages: [{role, content, ...}]. Throws InputError: what the template refuses, or misses, with line and column.
  ChatText render(const nlohmann::ordered_json& messages, const ChatOptions& options = {}) const;

  const std::string& source() const { return source_; }
  // Whether the source reads `tools`: others ignore them.
  bool takes_tools() const { return source_.find("tools") != std::string::npos; }

 private:
  std::string source_;
  nlohmann::ordered_json special_tokens_;  // bos_token, eos_token, pad_token ... by name
  jinja::Template template_;
};

}  // namespace tessera::text
