#include "tessera/app/chat_session.h"

#include "tessera/app/model_input.h"
#include "tessera/base/error.h"

namespace tessera::app {

namespace {

using Json = nlohmann::ordered_json;
constexpr int64_t kSavedChatVersion = 1;

Json message_list(const std::vector<ChatMessage>& messages) {
  Json list = Json::array();
  for (const auto& message : messages) list.push_back({{"role", message.role}, {"content", message.content}});
  return list;
}

}  // namespace

ChatSession::ChatSession(lm::LoadedModel loaded, text::ChatTemplate chat_template, int64_t context)
    : loaded_(std::move(loaded)), template_(std::move(chat_template)), cache_(loaded_.model->new_cache()) {
  const int64_t own = loaded_.config().max_positions;
  limit_ = context > 0 && (own <= 0 || context < own) ? context : own;
}

void ChatSession::set_system(const std::string& text) {
  if (!messages_.empty() && messages_.front().role == "system") messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), {"system", text});
}

void ChatSession::reset() {
  std::erase_if(messages_, [](const ChatMessage& message) { return message.role != "system"; });
}

ChatAnswer ChatSession::reply(const std::string& user, const ChatSettings& settings, const Heard& heard) {
  messages_.push_back({"user", user});
  try {
    return answer(settings, heard);
  } catch (...) {
    messages_.pop_back();
    throw;
  }
}

ChatAnswer ChatSession::retry(const ChatSettings& settings, const Heard& heard) {
  if (messages_.empty() || messages_.back().role != "assistant") throw InputError("there is no answer to try again; say something first");
  const ChatMessage old = std::move(messages_.back());
  messages_.pop_back();
  try {
    return answer(settings, heard);
  } catch (...) {
    messages_.push_back(old);
    throw;
  }
}

std::vector<int64_t> ChatSession::prompt_ids() const {
  const std::string prompt = template_.render(message_list(messages_)).text;
  return wide(loaded_.tokenizer->encode_ids(prompt, {.add_special_tokens = false, .parse_special_tokens = true}));
}

// Makes the cache hold the longest beginning of `ids` that it has seen, the last token never: its logits are needed.
int64_t ChatSession::keep_common_prefix(const std::vector<int64_t>& ids) {
  const size_t most = std::min(cached_ids_.size(), ids.size() - 1);
  const auto common = std::mismatch(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(most), cached_ids_.begin()).first - ids.begin();
  if (!cache_.rewind(common)) {
    cache_ = loaded_.model->new_cache();
    return 0;
  }
  return common;
}

ChatAnswer ChatSession::answer(const ChatSettings& settings, const Heard& heard) {
  const auto ids = prompt_ids();
  const auto used = static_cast<int64_t>(ids.size());
  if (ids.empty()) throw InputError("the chat template made an empty prompt; give another one with --template");
  if (limit_ > 0 && used >= limit_)
    throw InputError("the context is full: the conversation has {} tokens and {} fit; /reset starts anew, /system stays", used, limit_);
  const int64_t room = limit_ > 0 ? limit_ - used : settings.max_tokens;

  lm::GenerateOptions how;
  how.max_tokens = std::min(settings.max_tokens, room);
  how.sampling = settings.sampling;
  how.sampling.seed += turns_++;
  how.end_ids = loaded_.end_ids;
  if (const auto eos = loaded_.tokenizer->eos_id(); how.end_ids.empty() && eos) how.end_ids = {*eos};
  how.stop = settings.stop;
  const int64_t reused = keep_common_prefix(ids);
  how.cache = &cache_;
  cached_ids_.clear();  // an exception below leaves a cache that nobody trusts
  const auto result =
      lm::generate(loaded_.model, {ids}, how, loaded_.tokenizer.get(), [&](const lm::TokenEvent& event) { return heard(event.text); });
  const auto& said = result.sequences.front();
  cached_ids_ = ids;
  cached_ids_.insert(cached_ids_.end(), said.ids.begin(), said.ids.end());
  cached_ids_.resize(std::min(cached_ids_.size(), static_cast<size_t>(cache_.length)));
  messages_.push_back({"assistant", said.text});
  const auto total = used + static_cast<int64_t>(said.ids.size());
  return {.text = said.text,
          .prompt_tokens = used,
          .reused_tokens = reused,
          .context_tokens = total,
          .finish = said.finish,
          .context_full = said.finish == lm::FinishReason::length && room < settings.max_tokens,
          .timings = result.timings};
}

Json ChatSession::save() const { return {{"version", kSavedChatVersion}, {"messages", message_list(messages_)}}; }

void ChatSession::load(const Json& document) {
  const auto refuse = [](const char* problem) { throw InputError("{}; give a file that /save wrote", problem); };
  if (!document.is_object() || !document.contains("version") || document["version"] != kSavedChatVersion)
    refuse("no saved conversation of version 1");
  if (!document.contains("messages") || !document["messages"].is_array()) refuse("the saved conversation has no list of messages");
  std::vector<ChatMessage> messages;
  for (const auto& each : document["messages"]) {
    const bool good =
        each.is_object() && each.contains("role") && each["role"].is_string() && each.contains("content") && each["content"].is_string();
    if (!good) refuse("a saved message lacks its role or content");
    messages.push_back({each["role"].get<std::string>(), each["content"].get<std::string>()});
    const auto& role = messages.back().role;
    if (role != "system" && role != "user" && role != "assistant") refuse("a saved message has a role other than system, user, assistant");
  }
  messages_ = std::move(messages);
}

}  // namespace tessera::app
