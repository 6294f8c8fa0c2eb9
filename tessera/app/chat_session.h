#pragma once
// A conversation with a language model: messages, the template that turns them into a prompt, and the keys and values of what the model has
// read already, kept from one turn to the next.

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tessera/lm/generate.h"
#include "tessera/lm/load.h"
#include "tessera/text/chat_template.h"

namespace tessera::app {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatAnswer {
  std::string text;
  int64_t prompt_tokens = 0, reused_tokens = 0;  // of the whole conversation; of those, not read again
  int64_t context_tokens = 0;                    // conversation and answer
  lm::FinishReason finish = lm::FinishReason::stop;
  bool context_full = false;  // the answer ended because the context did
  lm::GenerationTimings timings;
};

struct ChatSettings {
  lm::Sampling sampling;
  std::vector<std::string> stop;
  int64_t max_tokens = 1024;
};

class ChatSession {
 public:
  // `context`: tokens of conversation and answer together, at most; 0: the model's own limit.
  ChatSession(lm::LoadedModel loaded, text::ChatTemplate chat_template, int64_t context);

  const std::vector<ChatMessage>& messages() const { return messages_; }
  int64_t context_limit() const { return limit_; }
  // Sets, replaces or, when empty, removes the system message.
  void set_system(const std::string& text);
  // Forgets everything but the system message.
  void reset();

  // The answer to one more message of the user. `heard` gets its text piece by piece; false stops, and what was said stays. Throws
  // InputError, the conversation unchanged, when the context cannot hold it.
  using Heard = std::function<bool(const std::string& piece)>;
  ChatAnswer reply(const std::string& user, const ChatSettings& settings, const Heard& heard);
  // Another answer to the user's last message, from other random numbers. Throws InputError when there is none.
  ChatAnswer retry(const ChatSettings& settings, const Heard& heard);

  // {version: 1, messages: [{role, content}]}. load() throws InputError for another document, the conversation unchanged.
  nlohmann::ordered_json save() const;
  void load(const nlohmann::ordered_json& document);

 private:
  ChatAnswer answer(const ChatSettings& settings, const Heard& heard);
  std::vector<int64_t> prompt_ids() const;
  int64_t keep_common_prefix(const std::vector<int64_t>& ids);

  lm::LoadedModel loaded_;
  text::ChatTemplate template_;
  int64_t limit_ = 0;
  uint64_t turns_ = 0;  // answers so far: each draws from random numbers of its own
  std::vector<ChatMessage> messages_;
  nn::KvCache cache_;
  std::vector<int64_t> cached_ids_;  // the tokens that cache_ holds
};

}  // namespace tessera::app
