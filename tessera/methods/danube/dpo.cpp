#include "tessera/methods/danube/dpo.h"

#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"
#include "tessera/base/json.h"
#include "tessera/data/records.h"
#include "tessera/methods/danube/sft.h"
#include "tessera/train/token_nats.h"

namespace tessera::danube {

using Json = nlohmann::ordered_json;

namespace {

bool means(const train::PreferenceOptions& options) { return options.length_normalised || options.loss == train::PreferenceLoss::ipo; }

std::vector<size_t> range(size_t begin, size_t end) {
  std::vector<size_t> all;
  for (size_t i = begin; i < end; ++i) all.push_back(i);
  return all;
}

int64_t answer_tokens(const train::ChatExample& example) { return std::count(example.answer.begin(), example.answer.end(), true); }

// A file of ranked answers has "answers" and "ranks" in its first row.
bool is_ranked(const std::filesystem::path& path) {
  const auto records = data::open_records(path);
  data::Row row;
  return records->next(row) && row.find("answers") != nullptr && row.find("ranks") != nullptr;
}

Json field_json(const data::Row& row, const std::string& name) {
  const auto* value = row.find(name);
  if (value == nullptr) throw InputError("{}: no field {}; give prompt, answers and ranks", row.where, tessera::quoted(name));
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  if (const auto* texts = std::get_if<std::vector<std::string>>(value)) return *texts;
  if (const auto* nested = std::get_if<data::Json>(value)) return try_parse_json(nested->text);
  throw InputError("{}: {} is neither a text nor a list", row.where, tessera::quoted(name));
}

train::PairsRead read_ranked_pairs(const std::filesystem::path& path) {
  train::PairsRead read;
  const auto records = data::open_records(path);
  data::Row row;
  while (records->next(row)) {
    const auto answers = field_json(row, "answers"), ranks = field_json(row, "ranks");
    std::vector<std::string> texts;
    std::vector<double> numbers;
    for (const auto& each : answers)
      if (each.is_string()) texts.push_back(each.get<std::string>());
    for (const auto& each : ranks)
      if (each.is_number()) numbers.push_back(each.get<double>());
    if (texts.size() != answers.size() || numbers.size() != ranks.size())
      throw InputError("{}: answers are texts and ranks numbers; look at the row", row.where);
    auto pair = ranked_pair(field_json(row, "prompt"), texts, numbers, row.where);
    if (pair.chosen == pair.rejected) {
      ++read.equal;
    } else {
      read.pairs.push_back(std::move(pair));
    }
  }
  return read;
}

}  // namespace

train::PreferencePair ranked_pair(const Json& prompt, const std::vector<std::string>& answers, const std::vector<double>& ranks,
                                  const std::string& where) {
  if (answers.size() != ranks.size() || answers.size() < 2)
    throw InputError("{}: {} answers with {} ranks; give one rank an answer, and two answers or more", where, answers.size(), ranks.size());
  const auto best = static_cast<size_t>(std::min_element(ranks.begin(), ranks.end()) - ranks.begin());
  const auto worst = static_cast<size_t>(std::max_element(ranks.begin(), ranks.end()) - ranks.begin());
  const auto turn = [](const char* role, const std::string& text) { return Json{{"role", role}, {"content", text}}; };
  auto messages = prompt.is_string() ? Json::array({turn("user", prompt.get<std::string>())}) : prompt;
  train::PreferencePair pair{messages, messages};
  pair.chosen.push_back(turn("assistant", answers[best]));
  pair.rejected.push_back(turn("assistant", answers[worst]));
  return pair;
}

DpoData read_dpo(const std::filesystem::path& path, const train::ChatEncoder& encoder, int64_t length) {
  auto last = encoder;
  last.trained = train::AnswersTrained::last;
  auto read = is_ranked(path) ? read_ranked_pairs(path) : train::read_pairs(path);
  DpoData data{.equal = read.equal};
  for (const auto& pair : read.pairs) {
    throw_if_interrupted();
    TokenPair tokens{last(pair.chosen), last(pair.rejected)};
    if (static_cast<int64_t>(std::max(tokens.chosen.tokens.size(), tokens.rejected.tokens.size())) > length) {
      ++data.too_long;
      continue;
    }
    data.chosen_tokens += static_cast<double>(answer_tokens(tokens.chosen));
    data.rejected_tokens += static_cast<double>(answer_tokens(tokens.rejected));
    data.pairs.push_back(std::move(tokens));
  }
  if (data.pairs.empty())
    throw InputError("{}: no pair of different answers within {} tokens ({} were equal, {} too long); give pairs, or a larger --length",
                     path.string(), length, data.equal, data.too_long);
  data.chosen_tokens /= static_cast<double>(data.pairs.size());
  data.rejected_tokens /= static_cast<double>(data.pairs.size());
  return data;
}

train::PairLogProbs pair_log_probs(lm::Transformer model, const std::vector<TokenPair>& pairs, const std::vector<size_t>& chosen,
                                   bool mean) {
  std::vector<train::ChatExample> examples;
  examples.reserve(2 * chosen.size());
  for (const size_t i : chosen) examples.push_back(pairs[i].chosen);
  for (const size_t i : chosen) examples.push_back(pairs[i].rejected);
  const auto rows = sft_rows(examples, range(0, examples.size()), true);
  const auto hidden = model->hidden(rows.tokens);
  const auto nats = train::token_nats(hidden.reshape({-1, hidden.size(-1)}), train::head_weight(model), rows.targets.reshape({-1}))
                        .view(rows.targets.sizes());
  const auto all = train::answer_log_probs(nats, rows.targets.ge(0).sum(1), mean);
  const auto p = static_cast<int64_t>(chosen.size());
  return {all.narrow(0, 0, p), all.narrow(0, p, p)};
}

train::PairLogProbs reference_log_probs(lm::Transformer model, const std::vector<TokenPair>& pairs, bool mean, int64_t batch) {
  torch::NoGradGuard no_grad;
  const train::LoraOff off(*model);
  std::vector<torch::Tensor> chosen, rejected;
  for (size_t begin = 0; begin < pairs.size(); begin += static_cast<size_t>(batch)) {
    throw_if_interrupted();
    const auto part = pair_log_probs(model, pairs, range(begin, std::min(pairs.size(), begin + static_cast<size_t>(batch))), mean);
    chosen.push_back(part.chosen);
    rejected.push_back(part.rejected);
  }
  return {torch::cat(chosen), torch::cat(rejected)};
}

namespace {

struct Pairs {
  lm::Transformer model;
  std::vector<TokenPair> pairs;
  DpoOptions options;
  train::PairLogProbs reference;
  std::shared_ptr<DpoFigures> figures = std::make_shared<DpoFigures>();

  int64_t micro() const { return options.micro > 0 ? std::min(options.micro, options.order.batch) : options.order.batch; }

  train::Batch batch(int64_t step, int64_t part) {
    const auto all = options.order.of_step(step);
    const auto begin = static_cast<size_t>(part * micro()), end = std::min(all.size(), begin + static_cast<size_t>(micro()));
    const std::vector<size_t> chosen(all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(end));
    if (part == 0) *figures = {};
    int64_t tokens = 0;
    for (const size_t i : chosen) tokens += static_cast<int64_t>(pairs[i].chosen.tokens.size() + pairs[i].rejected.tokens.size());
    return {.counted = static_cast<int64_t>(chosen.size()), .tokens = tokens, .loss = [this, chosen, of = all.size()] {
              return loss(chosen, static_cast<double>(of));
            }};
  }

  torch::Tensor loss(const std::vector<size_t>& chosen, double of) {
    const bool mean = means(options.preference);
    const auto policy = pair_log_probs(model, pairs, chosen, mean);
    const std::vector<int64_t> rows(chosen.begin(), chosen.end());
    const auto index = torch::tensor(rows);
    const train::PairLogProbs before{reference.chosen.index_select(0, index), reference.rejected.index_select(0, index)};
    const auto terms = train::preference_loss(policy, before, options.preference);
    const auto share = [&](const torch::Tensor& each) { return each.sum().item<double>() / of; };
    figures->accuracy += share(terms.margin.gt(0).to(torch::kFloat32));
    figures->margin += share(terms.margin);
    figures->chosen_reward += share(terms.chosen_reward);
    figures->rejected_reward += share(terms.rejected_reward);
    std::vector<double> counts;
    counts.reserve(chosen.size());
    for (const size_t i : chosen) counts.push_back(mean ? 1.0 : static_cast<double>(std::max<int64_t>(1, answer_tokens(pairs[i].chosen))));
    figures->log_ratio += share((policy.chosen - before.chosen).detach() / torch::tensor(counts));
    return terms.loss.sum();
  }
};

}  // namespace

DpoRun add_dpo_batches(train::Task& task, const lm::Transformer& model, std::vector<TokenPair> given, const DpoOptions& options) {
  train::check_preference(options.preference);
  auto reference = reference_log_probs(model, given, means(options.preference));
  const auto pairs = std::make_shared<Pairs>(Pairs{model, std::move(given), options, std::move(reference)});
  task.micro_batches = [pairs](int64_t step) {
    const auto all = static_cast<int64_t>(pairs->options.order.of_step(step).size());
    return (all + pairs->micro() - 1) / pairs->micro();
  };
  task.batch = [pairs](int64_t step, int64_t part) { return pairs->batch(step, part); };
  DpoRun run{.tokens = 0, .figures = pairs->figures};
  for (int64_t step = 1; step <= options.order.steps(); ++step)
    for (const size_t i : options.order.of_step(step))
      run.tokens += static_cast<int64_t>(pairs->pairs[i].chosen.tokens.size() + pairs->pairs[i].rejected.tokens.size());
  return run;
}

}  // namespace tessera::danube
