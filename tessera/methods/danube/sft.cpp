#include "tessera/methods/danube/sft.h"

#include "tessera/base/error.h"

namespace tessera::danube {

SftData read_sft(const std::filesystem::path& path, const train::ChatEncoder& encoder, int64_t length) {
  SftData data;
  train::for_each_conversation(path, [&](nlohmann::ordered_json&& messages, const std::string& where) {
    train::ChatExample example;
    try {
      example = encoder(messages);
    } catch (const InputError& error) {
      throw InputError("{}: {}", where, error.what());
    }
    if (static_cast<int64_t>(example.tokens.size()) > length) {
      ++data.cut;
      example.tokens.resize(static_cast<size_t>(length));
      example.answer.resize(static_cast<size_t>(length));
    }
    const auto answers = std::count(example.answer.begin() + (example.answer.empty() ? 0 : 1), example.answer.end(), true);
    if (answers == 0) {
      ++data.dropped;
      return true;
    }
    data.tokens += static_cast<int64_t>(example.tokens.size());
    data.answer_tokens += answers;
    data.examples.push_back(std::move(example));
    return true;
  });
  if (data.examples.empty())
    throw InputError("{}: no conversation with an answer within {} tokens ({} were longer); give conversations, or a larger --length",
                     path.string(), length, data.dropped);
  return data;
}

train::LanguageRows sft_rows(const std::vector<train::ChatExample>& examples, const std::vector<size_t>& chosen, bool mask_prompt) {
  int64_t longest = 2;
  for (const size_t i : chosen) longest = std::max(longest, static_cast<int64_t>(examples[i].tokens.size()));
  const auto rows = static_cast<int64_t>(chosen.size()), length = longest - 1;  // the last token is a target only
  train::LanguageRows batch{torch::zeros({rows, length}, torch::kInt64), torch::full({rows, length}, -1, torch::kInt64), {}};
  for (int64_t r = 0; r < rows; ++r) {
    const auto& example = examples[chosen[static_cast<size_t>(r)]];
    auto* tokens = batch.tokens.data_ptr<int64_t>() + r * length;
    auto* targets = batch.targets.data_ptr<int64_t>() + r * length;
    for (size_t i = 0; i + 1 < example.tokens.size(); ++i) {
      tokens[i] = example.tokens[i];
      if (example.answer[i + 1] || !mask_prompt) targets[i] = example.tokens[i + 1];
    }
  }
  return batch;
}

namespace {

struct Batches {
  lm::Transformer model;
  std::vector<train::ChatExample> examples;
  SftOptions options;

  int64_t micro() const { return options.micro > 0 ? std::min(options.micro, options.order.batch) : options.order.batch; }
  train::Batch batch(int64_t step, int64_t part) const {
    auto chosen = options.order.of_step(step);
    const auto begin = static_cast<size_t>(part * micro()), end = std::min(chosen.size(), begin + static_cast<size_t>(micro()));
    chosen = {chosen.begin() + static_cast<std::ptrdiff_t>(begin), chosen.begin() + static_cast<std::ptrdiff_t>(end)};
    const auto rows = sft_rows(examples, chosen, options.mask_prompt);
    int64_t tokens = 0;
    for (const size_t i : chosen) tokens += static_cast<int64_t>(examples[i].tokens.size());
    return {.counted = rows.targets.ge(0).sum().item<int64_t>(), .tokens = tokens, .loss = [this, rows] {
              return train::language_loss(model, rows, false);
            }};
  }
};

}  // namespace

int64_t add_sft_batches(train::Task& task, const lm::Transformer& model, std::vector<train::ChatExample> examples,
                        const SftOptions& options) {
  const auto batches = std::make_shared<Batches>(Batches{model, std::move(examples), options});
  task.micro_batches = [batches](int64_t step) {
    const auto rows = static_cast<int64_t>(batches->options.order.of_step(step).size());
    return (rows + batches->micro() - 1) / batches->micro();
  };
  task.batch = [batches](int64_t step, int64_t part) { return batches->batch(step, part); };
  int64_t tokens = 0;
  for (int64_t step = 1; step <= options.order.steps(); ++step)
    for (const size_t i : options.order.of_step(step)) tokens += static_cast<int64_t>(batches->examples[i].tokens.size());
  return tokens;
}

}  // namespace tessera::danube
