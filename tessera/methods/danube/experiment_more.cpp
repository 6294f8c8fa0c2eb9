// E3: the order of the data, copied rows of a new vocabulary, and what a window costs on retrieval.

#include "tessera/base/random.h"
#include "tessera/data/sources.h"
#include "tessera/methods/danube/experiment.h"
#include "tessera/methods/danube/retokenize.h"

namespace tessera::danube {

namespace {

// Text that no reader would choose: manual pages and copyright files, or the prose's words in disorder.
std::vector<std::string> noisy_documents(const Plan& plan, const Prose& prose) {
  std::vector<std::string> documents;
  uint64_t bytes = 0;
  for (const char* name : {"manpages", "copyright"}) {
    if (!prose.real || !data::installed(data::find_source(name))) continue;
    data::for_each_document(data::find_source(name), {}, [&](data::Document&& document) {
      bytes += document.text.size();
      documents.push_back(std::move(document.text));
      return bytes < plan.text_bytes;
    });
  }
  if (documents.empty()) {
    RandomStream random(1, "danube/noise");
    for (auto text : prose.training) {
      random.shuffle(std::span(text));
      documents.push_back(std::move(text));
    }
  }
  return documents;
}

std::vector<double> window_means(const lm::Transformer& model, const std::vector<std::vector<int64_t>>& windows) {
  std::vector<double> means;
  for (const auto& nats : window_nats(model, windows)) means.push_back(mean_of_all({nats}));
  return means;
}

int64_t whole_steps(const Plan& plan, double tokens) {
  return std::max<int64_t>(1, std::llround(tokens / static_cast<double>(plan.batch))) * plan.batch;
}

}  // namespace

// Danube2's three stages: 1T, 0.95T, 0.05T tokens of 84.5, 72.8, 55.5 % web.
void run_data_mixes(Laboratory& lab) {
  const auto& plan = lab.plan;
  const auto& tokenizer = *lab.prose.tokenizer;
  const auto prose = tokenised(lab.prose.training, tokenizer, lab.scratch / "mix-prose.safetensors");
  const auto noise = tokenised(noisy_documents(plan, lab.prose), tokenizer, lab.scratch / "mix-noise.safetensors");
  const int64_t length = plan.lengths.front();
  const auto windows = held_out_windows(lab.prose.test, tokenizer, length, 4 * plan.windows);
  const auto all = static_cast<double>(plan.more_tokens);
  const std::array<double, 3> parts{0.5, 0.475, 0.025}, web{0.845, 0.728, 0.555};
  std::vector<train::Stage> ordered, constant;
  double share = 0.0;
  for (size_t i = 0; i < parts.size(); ++i) {
    share += parts[i] * web[i];
    ordered.push_back({whole_steps(plan, parts[i] * all), length, {1.0 - web[i], web[i]}});
  }
  for (const auto& stage : ordered) constant.push_back({stage.tokens, length, {1.0 - share, share}});
  std::vector<double> difference(windows.size(), 0.0);
  std::map<bool, double> mean;  // of ordered and constant mixes, over seeds
  for (const uint64_t seed : plan.seeds) {
    for (const bool in_order : {true, false}) {
      const auto run = train_arm(plan, fresh_model(plan, tokenizer.size(), seed), {{"prose", prose}, {"noise", noise}},
                                 {.stages = in_order ? ordered : constant, .seed = seed});
      const auto nats = window_means(run.model, windows);
      for (size_t w = 0; w < nats.size(); ++w) difference[w] += (in_order ? -1.0 : 1.0) * nats[w] / static_cast<double>(plan.seeds.size());
      const double all_nats = mean_of_all({nats});
      mean[in_order] += all_nats / static_cast<double>(plan.seeds.size());
      lab.report.measured(fmt::format("{} mix, seed {}", in_order ? "ordered" : "constant", seed), {{"nats", all_nats}});
    }
  }
  lab.report.heading("The order of the data");
  lab.report.text(
      fmt::format("Held-out prose after {} tokens, mean of {} seeds: {:.4f} nats a token where prose comes late, {:.4f} where its "
                  "share is {:.1f} % all along.",
                  plan.more_tokens, plan.seeds.size(), mean[true], mean[false], 100.0 * (1.0 - share)));
  lab.report.judge(claims::order, difference);
}

void run_vocabulary(Laboratory& lab) {
  const auto& plan = lab.plan;
  const int64_t length = plan.lengths.front(), pieces = plan.vocab * 3 / 2;
  const auto larger = train_vocabulary(lab.prose.training, pieces);
  const auto cache = tokenised(lab.prose.training, *larger, lab.scratch / "larger.safetensors");
  const auto windows = held_out_windows(lab.prose.test, *larger, length, plan.windows);
  const auto from = match_pieces(piece_texts(*lab.prose.tokenizer), piece_texts(*larger));
  const std::vector<int64_t> none(from.size(), -1);
  const int64_t tokens = whole_steps(plan, static_cast<double>(plan.more_tokens) / 4.0), steps = tokens / plan.batch;
  std::map<std::string, ArmRun> arms;
  for (const auto& [key, rows] : {std::pair{"copied", from}, {"fresh", none}}) {
    const auto model = retokenized_model(lab.base, rows, 1, {});
    arms[key] = train_arm(plan, model, {{"prose", cache}},
                          {.stages = {{tokens, length, {1.0}}},
                           .rate = 1e-3,
                           .measure_every = std::max<int64_t>(1, steps / 10),
                           .measure = [&](const lm::Transformer& now) { return mean_of_all(window_nats(now, windows)); }});
  }
  std::vector<double> difference;
  run::LinePlot plot{.title = "Copied and fresh rows", .x = {.label = "tokens"}, .y = {.label = "held-out loss", .unit = "nats a token"}};
  for (const auto& [key, arm] : arms) {
    run::Line line{.name = key, .x = {}, .y = {}};
    for (const auto& [at, nats] : arm.checkpoints) {
      line.x.push_back(static_cast<double>(at));
      line.y.push_back(nats);
    }
    plot.lines.push_back(std::move(line));
  }
  const auto &copied = arms.at("copied").checkpoints, &fresh = arms.at("fresh").checkpoints;
  for (size_t i = 0; i < std::max<size_t>(1, copied.size() / 2); ++i) difference.push_back(fresh[i].second - copied[i].second);
  lab.report.heading("A larger vocabulary");
  lab.report.text(fmt::format("{:.1f} % of the {} pieces were known.", 100.0 * mapped_fraction(from), from.size()));
  lab.report.judge(claims::vocabulary, difference);
  lab.report.plot(plot);
}

}  // namespace tessera::danube
