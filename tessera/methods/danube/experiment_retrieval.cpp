// E3: what a window costs on retrieval. A glossary of real entries is read, then one of its terms is asked again: with all tokens in sight,
// and with a window of half the usual one (Danube2 takes the window off).

#include <filesystem>

#include "tessera/base/random.h"
#include "tessera/data/wordnet.h"
#include "tessera/methods/danube/experiment.h"
#include "tessera/train/corpus.h"

namespace tessera::danube {

namespace {

constexpr size_t kEntries = 40;

std::vector<std::string> entries(bool real) {
  std::vector<std::string> all;
  if (real && std::filesystem::exists("/usr/share/wordnet/data.noun")) {
    for (const auto& synset : data::read_wordnet().synsets) {
      const auto& lemma = synset.lemmas.front();
      if (lemma.size() <= 9 && lemma.find(' ') == std::string::npos && synset.gloss.size() >= 10 && synset.gloss.size() <= 32)
        all.push_back(lemma + ": " + synset.gloss + "\n");
    }
  } else {
    for (int i = 0; i < 400; ++i) all.push_back(fmt::format("river{}: stone {}\n", i, i * 7 % 400));
  }
  return all;
}

// A glossary and the entry that is asked again at its end.
struct Glossary {
  std::string text, term, answer;
  size_t asked = 0;  // place of the entry, from the end: 1 is the last one
};

Glossary make_glossary(const std::vector<std::string>& all, RandomStream& random) {
  Glossary made;
  std::vector<std::string> chosen;
  for (size_t i = 0; i < kEntries; ++i) chosen.push_back(all[random.below(all.size())]);
  for (const auto& each : chosen) made.text += each;
  const size_t which = random.below(kEntries);
  const size_t colon = chosen[which].find(": ") + 1;
  made.term = chosen[which].substr(0, colon);
  made.answer = chosen[which].substr(colon);
  made.asked = kEntries - which;
  return made;
}

lm::Transformer with_window(const lm::Transformer& model, int64_t window) {
  torch::NoGradGuard no_grad;
  auto config = model->config();
  lm::set_window(config, window);
  lm::Transformer made(config);
  const auto from = model->named_parameters();
  for (auto& item : made->named_parameters()) item.value().copy_(*from.find(item.key()));
  made->fuse();
  return made;
}

// Mean nats of the answer's tokens and how many tokens lie between the entry and the question.
struct Asked {
  double nats = 0.0;
  int64_t distance = 0;
};

Asked ask(lm::Transformer model, const text::Tokenizer& tokenizer, const Glossary& glossary) {
  const auto plain = text::EncodeOptions{.add_special_tokens = false, .parse_special_tokens = false};
  const auto read = tokenizer.encode_ids(glossary.text + glossary.term, plain);
  const auto answer = tokenizer.encode_ids(glossary.answer, plain);
  const auto entry = glossary.text.rfind(glossary.term + glossary.answer);
  const auto before = tokenizer.encode_ids(std::string_view(glossary.text).substr(0, entry), plain);
  std::vector<int64_t> ids(read.begin(), read.end());
  ids.insert(ids.end(), answer.begin(), answer.end());
  const auto nats = window_nats(std::move(model), {ids}).front();
  Asked asked{.distance = static_cast<int64_t>(read.size() - before.size())};
  for (size_t i = read.size() - 1; i < nats.size(); ++i) asked.nats += nats[i] / static_cast<double>(answer.size());
  return asked;
}

}  // namespace

void run_retrieval(Laboratory& lab) {
  const auto& plan = lab.plan;
  const auto& tokenizer = *lab.prose.tokenizer;
  const auto all = entries(lab.prose.real);
  RandomStream random(1, "danube/glossaries"), held(2, "danube/glossaries");
  const int64_t length = plan.lengths.back(), narrow = plan.window / 2;
  std::vector<std::string> documents;
  for (int64_t i = 0; i < std::max<int64_t>(20, plan.more_tokens / 2 / length); ++i) {
    const auto made = make_glossary(all, random);
    documents.push_back(made.text + made.term + made.answer);
  }
  const auto cache = tokenised(documents, tokenizer, lab.scratch / "glossaries.safetensors");
  std::vector<Glossary> questions;
  for (int64_t i = 0; i < 2 * plan.windows; ++i) questions.push_back(make_glossary(all, held));
  const int64_t tokens = std::max<int64_t>(1, plan.more_tokens / 2 / plan.batch) * plan.batch;
  run::LinePlot plot{.title = "Retrieval from a glossary",
                     .x = {.label = "distance", .unit = "tokens"},
                     .y = {.label = "loss of the repeated answer", .unit = "nats a token"}};
  for (const int64_t window : {narrow, int64_t{0}}) {
    const auto run =
        train_arm(plan, with_window(lab.base, window), {{"glossaries", cache}}, {.stages = {{tokens, length, {1.0}}}, .rate = 1e-3});
    std::map<int64_t, std::pair<double, double>> bins;  // distance -> sum, count
    for (const auto& question : questions) {
      const auto asked = ask(run.model, tokenizer, question);
      auto& bin = bins[asked.distance / (length / 8)];
      bin.first += asked.nats;
      bin.second += 1.0;
    }
    run::Line line{.name = window > 0 ? fmt::format("window {}", window) : std::string("no window"), .x = {}, .y = {}};
    for (const auto& [bin, sum] : bins) {
      line.x.push_back((static_cast<double>(bin) + 0.5) * static_cast<double>(length) / 8.0);
      line.y.push_back(sum.first / sum.second);
    }
    plot.lines.push_back(std::move(line));
  }
  plot.caption = fmt::format(
      "Glossaries of {} WordNet entries, then one term again; {} tokens of training each, {} questions. Reported, "
      "not judged: a model of this size may learn to copy in neither case.",
      kEntries, tokens, questions.size());
  lab.report.heading("What a window costs on retrieval");
  lab.report.plot(plot);
}

}  // namespace tessera::danube
