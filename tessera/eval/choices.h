#pragma once
// Multiple-choice accuracy: the choice that the model finds likeliest after the question.

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "tessera/data/wordnet_items.h"
#include "tessera/lm/model.h"

namespace tessera::text {
class Tokenizer;
}

namespace tessera::eval {

using data::ChoiceItem;  // {question, choices with the space that joins them, answer}

// Items of a data set (jsonl, csv with lists as JSON, Parquet): `question` (or `context`, or both joined by a line end); `choices`, a list
// of texts or {"text": [...], "label": [...]}; `answer` (or `answerKey`, `label`, `gold`): an index from 0, a letter "A".., a label, or a
// choice's text. A choice that does not start with white space is joined with a space. WordNet's folder (Debian: /usr/share/wordnet) gives
// data::wordnet_items: 300 definitions with four words each. InputError with file and line when a field is missing or wrong.
std::vector<ChoiceItem> read_choice_items(const std::filesystem::path& path);

struct ChoiceOptions {
  int64_t batch = 1024;  // tokens a pass, about. Changes memory and speed, not the result
  lm::Skip skip;
  // Called after every pass with the items done and their number; false stops, and what was measured stays.
  std::function<bool(int64_t done, int64_t items)> progress;
};

struct ChoiceScores {
  std::vector<double> nats;        // [choices], log-likelihood of each choice's tokens given the question, <= 0
  size_t likeliest = 0;            // the greatest of `nats`
  size_t likeliest_by_length = 0;  // the greatest of nats per byte of the choice's text (less white space at its ends)
};

struct ChoiceResult {
  double accuracy = 0, accuracy_by_length = 0;  // share of items answered rightly by each rule
  double chance = 0;                            // accuracy of guessing: the mean of 1 / choices
  int64_t items = 0;
  double seconds = 0;
  std::vector<ChoiceScores> scores;          // [items], in the items' order
  std::vector<bool> right, right_by_length;  // [items]
};

// The tokens that the question's and all choices' texts begin with alike are the question; what follows is the choice. The question is
// passed once for all its choices. InputError when a choice adds no token, an answer is no index or an item has fewer than two choices.
ChoiceResult choice_accuracy(lm::Transformer& model, const text::Tokenizer& tokenizer, std::span<const ChoiceItem> items,
                             const ChoiceOptions& options = {});

// {accuracy, accuracy_by_length, chance, items, seconds}
nlohmann::ordered_json to_json(const ChoiceResult& result);

}  // namespace tessera::eval
