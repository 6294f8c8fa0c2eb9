// E2: from the staged model to a chat model that defines words: SFT, more SFT, DPO.

#include <sstream>
#include <utility>

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/data/wordnet.h"
#include "tessera/lm/generate.h"
#include "tessera/methods/danube/dpo.h"
#include "tessera/methods/danube/experiment.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/methods/danube/sft.h"
#include "tessera/train/corpus.h"
#include "tessera/train/optim/registry.h"
#include "tessera/train/trainer.h"

namespace tessera::danube {

namespace {

using Json = nlohmann::ordered_json;

struct Gloss {
  std::string term, text;
};

bool is_plain_word(const std::string& lemma) {
  return lemma.size() >= 3 && std::all_of(lemma.begin(), lemma.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

// Nouns of one lower-case word with a gloss of 20 to 90 bytes, in an order drawn by the seed. Made up without WordNet.
std::vector<Gloss> glosses(uint64_t seed, bool real) {
  std::vector<Gloss> all;
  if (real && std::filesystem::exists("/usr/share/wordnet/data.noun")) {
    std::string before;
    for (const auto& synset : data::read_wordnet().synsets) {
      const auto& lemma = synset.lemmas.front();
      if (synset.part != data::PartOfSpeech::noun || !is_plain_word(lemma) || lemma == before) continue;
      if (synset.gloss.size() >= 20 && synset.gloss.size() <= 90) all.push_back({lemma, synset.gloss});
      before = lemma;
    }
  } else {
    for (int i = 0; i < 400; ++i) all.push_back({fmt::format("river{}", i), fmt::format("the {} stone under an old bridge", i)});
  }
  RandomStream(seed, "danube/glosses").shuffle(std::span(all));
  return all;
}

// What nobody should prefer: the gloss of another term, or the true one cut or with a piece repeated.
std::string bad_answer(const std::vector<Gloss>& all, size_t i, RandomStream& random) {
  if (i % 2 == 0) return all[(i + 1 + random.below(all.size() - 1)) % all.size()].text;
  const auto& text = all[i].text;
  const size_t half = text.find(' ', text.size() / 2);
  if (half == std::string::npos) return text + " " + text;
  if (i % 4 == 1) return text.substr(0, half);
  return text.substr(0, half) + text.substr(0, half) + text.substr(half);
}

Json conversation(const Gloss& gloss, const std::string& answer) {
  return Json::array({{{"role", "user"}, {"content", "define " + gloss.term}}, {{"role", "assistant"}, {"content", answer}}});
}

// Words that two texts share, as F1 of precision and recall.
double word_f1(const std::string& given, const std::string& wanted) {
  const auto words = [](const std::string& text) {
    std::map<std::string, int> counts;
    std::istringstream stream(text);
    for (std::string word; stream >> word;) ++counts[word];
    return counts;
  };
  const auto a = words(given), b = words(wanted);
  double same = 0.0, all_a = 0.0, all_b = 0.0;
  for (const auto& [word, count] : a) {
    all_a += count;
    if (const auto found = b.find(word); found != b.end()) same += std::min(count, found->second);
  }
  for (const auto& [word, count] : b) all_b += count;
  return same > 0.0 ? 2.0 * same / (all_a + all_b) : 0.0;
}

struct ChatMeasures {
  std::vector<double> right;  // of each held-out pair, 1 or 0
  double nats = 0.0;          // of the chosen answers, a token
  double f1 = 0.0;
  std::vector<double> chosen_nats;  // of each pair, summed
};

class ChatTuning {
 public:
  explicit ChatTuning(Laboratory& lab)
      : lab_(lab),
        plan_(lab.plan),
        tokenizer_(*lab.prose.tokenizer),
        template_(kChatTemplate, "", std::string(train::kEndOfText), "Danube's chat template"),
        encoder_{.tokenizer = tokenizer_, .chat = template_} {
    const auto all = glosses(1, lab.prose.real);
    const auto wanted = static_cast<size_t>(plan_.sft_pairs + plan_.dpo_pairs + plan_.test_pairs);
    if (all.size() < wanted)
      throw InputError("WordNet gives {} short glosses and the experiment needs {}; install wordnet-base", all.size(), wanted);
    auto at = all.begin();
    const auto take = [&](int64_t n) {
      const auto from = std::exchange(at, at + n);
      return std::vector<Gloss>(from, at);
    };
    sft_.reserve(static_cast<size_t>(plan_.sft_pairs));
    for (const auto& gloss : take(plan_.sft_pairs)) sft_.push_back(encoder_(conversation(gloss, gloss.text)));
    preferred_ = pairs_of(take(plan_.dpo_pairs), 2);
    test_glosses_ = take(plan_.test_pairs);
    test_ = pairs_of(test_glosses_, 3);
  }

  void run() {
    const auto base = lab_.base;
    auto sft = copy_of(base);
    train_sft(sft, sft_, plan_.sft_rate, 1.0);
    auto extra = copy_of(sft);
    std::vector<train::ChatExample> chosen;
    for (const auto& pair : preferred_) chosen.push_back(pair.chosen);
    train_sft(extra, chosen, plan_.extra_rate, 2.0);  // reads as many tokens as DPO, which passes both answers
    auto dpo = copy_of(sft);
    train_dpo(dpo);
    add("base", base, nullptr, "the staged model of E1");
    add("SFT", sft, nullptr, fmt::format("{} definitions, one epoch, rate {}", sft_.size(), plan_.sft_rate));
    add("SFT, more", extra, nullptr, fmt::format("two more epochs on the {} chosen answers, rate {}", chosen.size(), plan_.extra_rate));
    add("DPO", dpo, &sft, fmt::format("{} pairs, LoRA r 4, alpha 16, beta 0.2, rate {}", preferred_.size(), plan_.dpo_rate));
    judge();
    draw(dpo);
  }

 private:
  std::vector<TokenPair> pairs_of(const std::vector<Gloss>& part, uint64_t seed) const {
    RandomStream random(seed, "danube/bad-answers");
    std::vector<TokenPair> pairs;
    for (size_t i = 0; i < part.size(); ++i)
      pairs.push_back({encoder_(conversation(part[i], part[i].text)), encoder_(conversation(part[i], bad_answer(part, i, random)))});
    return pairs;
  }

  static train::TrainerOptions schedule(double rate, int64_t tokens) {
    return {.optimizer = [](std::vector<train::Parameter> p) { return train::make_optimizer({.name = "adamw"}, std::move(p)); },
            .schedule = {.peak = rate, .warmup = tokens * 3 / 100, .total = tokens},
            .clip = 1.0};
  }

  void train_sft(lm::Transformer& model, const std::vector<train::ChatExample>& examples, double rate, double epochs) const {
    prepare_tuning(model, {});
    auto task = tuned_task(model, {}, {}, "");
    const ExampleOrder order{.examples = static_cast<int64_t>(examples.size()), .batch = 8, .epochs = epochs, .seed = 1};
    const int64_t tokens = add_sft_batches(task, model, examples, {.order = order});
    train::Trainer trainer(std::move(task), schedule(rate, tokens));
    for (int64_t step = 0; step < order.steps(); ++step) trainer.step();
  }

  void train_dpo(lm::Transformer& model) {
    const Tuning tuning{.lora_rank = 4, .lora_alpha = 16.0, .seed = 1};
    prepare_tuning(model, tuning);
    auto task = tuned_task(model, tuning, {}, "");
    const ExampleOrder order{.examples = static_cast<int64_t>(preferred_.size()), .batch = 2, .seed = 1};
    const auto batches = add_dpo_batches(task, model, preferred_, {.order = order, .preference = {.beta = 0.2}});
    train::Trainer trainer(std::move(task), schedule(plan_.dpo_rate, batches.tokens));
    double accuracy = 0.0, weight = 0.0;
    for (int64_t step = 1; step <= order.steps(); ++step) {
      const auto report = trainer.step();
      accuracy = 0.98 * accuracy + 0.02 * batches.figures->accuracy;
      weight = 0.98 * weight + 0.02;
      if (step % std::max<int64_t>(1, order.steps() / 40) != 0) continue;
      curve_.x.push_back(static_cast<double>(step * order.batch));
      curve_.y.push_back(report.smoothed);
      accuracy_.x.push_back(curve_.x.back());
      accuracy_.y.push_back(accuracy / weight);
    }
    train::merge_lora(*model);
  }

  // `reference`: what a pair's margin is taken over; null: the plain log-probabilities.
  ChatMeasures measure(const lm::Transformer& model, const lm::Transformer* reference) const {
    ChatMeasures measures;
    const auto ours = reference_log_probs(model, test_, false);
    train::PairLogProbs before{torch::zeros_like(ours.chosen), torch::zeros_like(ours.rejected)};
    if (reference != nullptr) before = reference_log_probs(*reference, test_, false);
    const auto margin = ((ours.chosen - before.chosen) - (ours.rejected - before.rejected)).to(torch::kDouble).contiguous();
    double tokens = 0.0;
    for (size_t i = 0; i < test_.size(); ++i) {
      measures.right.push_back(margin[static_cast<int64_t>(i)].item<double>() > 0.0 ? 1.0 : 0.0);
      measures.chosen_nats.push_back(-ours.chosen[static_cast<int64_t>(i)].item<double>());
      measures.nats += measures.chosen_nats.back();
      tokens += static_cast<double>(std::count(test_[i].chosen.answer.begin(), test_[i].chosen.answer.end(), true));
    }
    measures.nats /= tokens;
    measures.f1 = greedy_f1(model);
    return measures;
  }

  double greedy_f1(lm::Transformer model) const {
    model->eval();
    std::vector<std::vector<int64_t>> prompts;
    const auto count = std::min(test_glosses_.size(), static_cast<size_t>(plan_.answers));
    for (size_t i = 0; i < count; ++i) {
      const auto text = template_.render(Json::array({{{"role", "user"}, {"content", "define " + test_glosses_[i].term}}})).text;
      prompts.push_back(encode(tokenizer_, text, false));
    }
    torch::NoGradGuard no_grad;
    lm::GenerateOptions how{.max_tokens = 48, .sampling = {.temperature = 0.0}};
    how.end_ids = {static_cast<int64_t>(tokenizer_.id(train::kEndOfText).value())};
    const auto answers = lm::generate(model, prompts, how, &tokenizer_);
    double sum = 0.0;
    for (size_t i = 0; i < count; ++i) sum += word_f1(answers.sequences[i].text, test_glosses_[i].text);
    return sum / static_cast<double>(count);
  }

  void add(const std::string& name, const lm::Transformer& model, const lm::Transformer* reference, const std::string& note) {
    auto measures = measure(model, reference);
    double right = 0.0;
    for (const double each : measures.right) right += each / static_cast<double>(measures.right.size());
    lab_.context.note("{}: preference accuracy {:.1f} %, NLL of the chosen {:.4f}, F1 {:.3f}", name, 100.0 * right, measures.nats,
                      measures.f1);
    lab_.report.baseline({.name = name,
                          .values = {{.of = "preference accuracy", .value = 100.0 * right, .interval = {}, .unit = "%"},
                                     {.of = "NLL of chosen answers", .value = measures.nats, .interval = {}, .unit = "nats a token"},
                                     {.of = "F1 of greedy answers", .value = measures.f1, .interval = {}, .unit = ""}},
                          .note = note,
                          .ours = name == "DPO"});
    measures_[name] = std::move(measures);
  }

  void judge() {
    const auto &dpo = measures_.at("DPO"), &extra = measures_.at("SFT, more"), &sft = measures_.at("SFT");
    std::vector<double> points;
    for (size_t i = 0; i < dpo.right.size(); ++i) points.push_back(100.0 * (dpo.right[i] - extra.right[i]));
    lab_.report.heading("From base model to chat model");
    lab_.report.judge(claims::preference,
                      run::Samples{{"accuracy, points", points},
                                   {"NLL of the chosen, per cent", std::vector<double>{100.0 * (dpo.nats / sft.nats - 1.0)}}});
  }

  void draw(const lm::Transformer& dpo) {
    curve_.name = "loss of pairs, smoothed";
    accuracy_.name = "share of pairs with a margin above 0, smoothed";
    run::LinePlot plot{.title = "DPO", .x = {.label = "pairs"}, .y = {.label = "loss, share"}, .lines = {curve_, accuracy_}};
    plot.levels.push_back({.name = "ln 2: no preference", .y = std::log(2.0)});
    lab_.report.plot(plot);
    const auto text = template_.render(Json::array({{{"role", "user"}, {"content", "define " + test_glosses_[0].term}}})).text;
    torch::NoGradGuard no_grad;
    auto model = dpo;
    lm::GenerateOptions how{.max_tokens = 48, .sampling = {.temperature = 0.0}};
    how.end_ids = {static_cast<int64_t>(tokenizer_.id(train::kEndOfText).value())};
    const auto answer = lm::generate(model, {encode(tokenizer_, text, false)}, how, &tokenizer_).sequences.front().text;
    lab_.report.text(
        fmt::format("After DPO, *define {}* is answered with *{}*; WordNet says *{}*. A model of this size learns the form of a "
                    "definition, hardly its content.",
                    test_glosses_[0].term, answer, test_glosses_[0].text));
  }

  Laboratory& lab_;
  const Plan& plan_;
  const text::Tokenizer& tokenizer_;
  text::ChatTemplate template_;
  train::ChatEncoder encoder_;
  std::vector<train::ChatExample> sft_;
  std::vector<TokenPair> preferred_, test_;
  std::vector<Gloss> test_glosses_;
  std::map<std::string, ChatMeasures> measures_;
  run::Line curve_, accuracy_;
};

}  // namespace

void run_chat_tuning(Laboratory& lab) { ChatTuning(lab).run(); }

}  // namespace tessera::danube
