#pragma once
// Conversations and preference pairs as tokens: which of them are an answer's, and so are trained (SFT with prompt masks, DPO).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace tessera::text {
class ChatTemplate;
class Tokenizer;
}  // namespace tessera::text

namespace tessera::train {

// One conversation. answer[i]: token i belongs to an answer, its closing tokens (end of turn) included.
struct ChatExample {
  std::vector<int64_t> tokens;
  std::vector<bool> answer;  // of equal length
};

enum class AnswersTrained { all, last };

// How conversations become tokens. Both references must outlive the calls.
struct ChatEncoder {
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate& chat;
  AnswersTrained trained = AnswersTrained::all;

  // messages: [{"role": ..., "content": ...}, ...] with at least one answer ("assistant"). Answers are what {% generation %} marks, or what
  // the template adds for an assistant's message behind its generation prompt. What precedes an answer is tokenised as it is at inference,
  // the answer behind it without a space that the tokenizer would put before a text of its own. Throws InputError when there is no answer,
  // for an unknown role that the template refuses, and for a template that rewrites earlier turns (AnswersTrained::last works there).
  ChatExample operator()(const nlohmann::ordered_json& messages) const;
};

// Hands the messages of every row of a file or folder (data/records.h) to `sink` until it returns false. A row has "messages", or
// "conversations" ([{"from": "human" | "gpt" | "system", "value": ...}]), or "prompt" (or "instruction" with an optional "input") and
// "response" (or "completion", "output"). Throws InputError with file and line.
using MessagesSink = std::function<bool(nlohmann::ordered_json&& messages, const std::string& where)>;
void for_each_conversation(const std::filesystem::path& path, const MessagesSink& sink);

// Two conversations that differ in their last answer.
struct PreferencePair {
  nlohmann::ordered_json chosen, rejected;  // messages
};
struct PairsRead {
  std::vector<PreferencePair> pairs;
  int64_t equal = 0;  // rows left out since both answers are the same
};
// Rows with "chosen" and "rejected", each a text or messages, and before them "prompt" (text or messages) or "messages", unless chosen and
// rejected are whole conversations. Throws InputError with file and line, and when no pair is left.
PairsRead read_pairs(const std::filesystem::path& path);

}  // namespace tessera::train
