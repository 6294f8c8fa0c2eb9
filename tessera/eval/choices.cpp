#include "tessera/eval/choices.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/text/tokenizer.h"

namespace tessera::eval {
namespace {

// An item in tokens: what all its choices begin with, and what each adds.
struct TokenItem {
  std::vector<int32_t> question;              // 1 token and more
  std::vector<std::vector<int32_t>> choices;  // each 1 token and more
};

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

TokenItem tokens_of(const ChoiceItem& item, const text::Tokenizer& tokenizer, size_t number) {
  if (item.choices.size() < 2) throw InputError("item {} has {} choices; it must have 2 or more", number, item.choices.size());
  if (item.answer >= item.choices.size())
    throw InputError("item {}: answer {} of {} choices; give an index from 0", number, item.answer, item.choices.size());
  TokenItem result{.question = tokenizer.encode_ids(item.question), .choices = {}};
  size_t shared = result.question.size();
  for (const std::string& choice : item.choices) {
    result.choices.push_back(tokenizer.encode_ids(item.question + choice));
    // A merge across the border takes the question's last token with it into the choice.
    shared = std::min(shared, common_prefix(result.question, result.choices.back()));
  }
  for (auto& choice : result.choices) {
    if (choice.size() <= shared) throw InputError("item {}: a choice adds no token to the question; give it some text", number);
    choice.erase(choice.begin(), choice.begin() + static_cast<std::ptrdiff_t>(shared));
  }
  if (shared == 0) throw InputError("item {}: the question gives no token that all choices share; give it some text", number);
  result.question.resize(shared);
  return result;
}

size_t bytes_without_ends(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\n"), end = text.find_last_not_of(" \t\n");
  return begin == std::string::npos ? 1 : end - begin + 1;
}

// Items whose questions have the same number of tokens, passed through the model together.
class Scorer {
 public:
  Scorer(lm::Transformer& model, const ChoiceOptions& options) : model_(model), options_(options) {}

  // Log-likelihoods of every choice of the items, in order.
  std::vector<std::vector<double>> score(std::span<const TokenItem* const> items) {
    const auto question = static_cast<int64_t>(items.front()->question.size());
    nn::KvCache cache = model_->new_cache();
    // All but the question's last token fill the cache; the last one heads every choice.
    if (question > 1) {
      const auto ids = torch::empty({static_cast<int64_t>(items.size()), question - 1}, torch::kInt64);
      auto* out = ids.data_ptr<int64_t>();
      for (const TokenItem* item : items) out = std::copy(item->question.begin(), item->question.end() - 1, out);
      model_->hidden(ids.to(model_->device()), pass(&cache));
      cache.select(owners(items).to(model_->device()));
    }
    return split(items, choice_nats(items, question > 1 ? &cache : nullptr));
  }

 private:
  lm::PassOptions pass(nn::KvCache* cache) const {
    lm::PassOptions options;
    options.cache = cache;
    options.skip = options_.skip;
    return options;
  }

  // For every choice, the index of its item.
  static torch::Tensor owners(std::span<const TokenItem* const> items) {
    std::vector<int64_t> rows;
    for (size_t i = 0; i < items.size(); ++i) rows.insert(rows.end(), items[i]->choices.size(), static_cast<int64_t>(i));
    return torch::tensor(rows, torch::kInt64);
  }

  // Sum of nats of every choice's tokens: [choices of all items] float64. Shorter choices are padded behind, where causal attention lets no
  // scored token look, and their padding has no target.
  torch::Tensor choice_nats(std::span<const TokenItem* const> items, nn::KvCache* cache) {
    size_t rows = 0, longest = 0;
    for (const TokenItem* item : items)
      for (const auto& choice : item->choices) {
        ++rows;
        longest = std::max(longest, choice.size());
      }
    const auto shape = {static_cast<int64_t>(rows), static_cast<int64_t>(longest)};
    const auto inputs = torch::zeros(shape, torch::kInt64), targets = torch::full(shape, -1, torch::kInt64);
    auto *in = inputs.data_ptr<int64_t>(), *target = targets.data_ptr<int64_t>();
    for (const TokenItem* item : items)
      for (const auto& choice : item->choices) {
        in[0] = item->question.back();
        std::copy(choice.begin(), choice.end() - 1, in + 1);
        std::copy(choice.begin(), choice.end(), target);
        in += longest;
        target += longest;
      }
    const auto hidden = model_->hidden(inputs.to(model_->device()), pass(cache));
    return model_->losses(hidden, targets.to(model_->device())).to(torch::kCPU, torch::kFloat64).sum(1);
  }

  static std::vector<std::vector<double>> split(std::span<const TokenItem* const> items, const torch::Tensor& nats) {
    const double* next = nats.data_ptr<double>();
    std::vector<std::vector<double>> result;
    for (const TokenItem* item : items) {
      std::vector<double> likelihoods(item->choices.size());
      for (double& value : likelihoods) value = -*next++;
      result.push_back(std::move(likelihoods));
    }
    return result;
  }

  lm::Transformer& model_;
  const ChoiceOptions& options_;
};

ChoiceScores scores_of(std::vector<double> nats, const ChoiceItem& item) {
  ChoiceScores scores;
  const auto per_byte = [&](size_t i) { return nats[i] / static_cast<double>(bytes_without_ends(item.choices[i])); };
  for (size_t i = 1; i < nats.size(); ++i) {
    if (nats[i] > nats[scores.likeliest]) scores.likeliest = i;
    if (per_byte(i) > per_byte(scores.likeliest_by_length)) scores.likeliest_by_length = i;
  }
  scores.nats = std::move(nats);
  return scores;
}

// The shares of right answers over the items that were scored: all, unless the run was stopped.
void count_right(std::span<const ChoiceItem> items, ChoiceResult& result) {
  for (size_t i = 0; i < items.size(); ++i) {
    const ChoiceScores& scores = result.scores[i];
    result.right.push_back(!scores.nats.empty() && scores.likeliest == items[i].answer);
    result.right_by_length.push_back(!scores.nats.empty() && scores.likeliest_by_length == items[i].answer);
    if (scores.nats.empty()) continue;
    ++result.items;
    result.accuracy += result.right.back();
    result.accuracy_by_length += result.right_by_length.back();
    result.chance += 1.0 / static_cast<double>(scores.nats.size());
  }
  for (double* share : {&result.accuracy, &result.accuracy_by_length, &result.chance})
    *share /= static_cast<double>(std::max<int64_t>(1, result.items));
}

}  // namespace

ChoiceResult choice_accuracy(lm::Transformer& model, const text::Tokenizer& tokenizer, std::span<const ChoiceItem> items,
                             const ChoiceOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const torch::NoGradGuard no_gradient;
  std::vector<TokenItem> tokens;
  for (size_t i = 0; i < items.size(); ++i) tokens.push_back(tokens_of(items[i], tokenizer, i + 1));
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto length = [&](size_t i) { return tokens[i].question.size(); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return length(a) < length(b); });

  ChoiceResult result;
  result.scores.resize(items.size());
  Scorer scorer(model, options);
  for (size_t at = 0; at < order.size();) {
    const size_t most = std::max<size_t>(1, static_cast<size_t>(std::max<int64_t>(1, options.batch)) / length(order[at]));
    std::vector<const TokenItem*> group;
    while (at + group.size() < order.size() && group.size() < most && length(order[at + group.size()]) == length(order[at]))
      group.push_back(&tokens[order[at + group.size()]]);
    auto nats = scorer.score(group);
    for (auto& item_nats : nats) {
      result.scores[order[at]] = scores_of(std::move(item_nats), items[order[at]]);
      ++at;
    }
    if (options.progress && !options.progress(static_cast<int64_t>(at), static_cast<int64_t>(order.size()))) break;
  }
  count_right(items, result);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

nlohmann::ordered_json to_json(const ChoiceResult& result) {
  return {{"accuracy", result.accuracy},
          {"accuracy_by_length", result.accuracy_by_length},
          {"chance", result.chance},
          {"items", result.items},
          {"seconds", result.seconds}};
}

}  // namespace tessera::eval
