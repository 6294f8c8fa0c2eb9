// E1: the context grown in stages (S), long from the start (L), short for ever (C).

#include <filesystem>

#include "tessera/methods/danube/experiment.h"

namespace tessera::danube {

namespace {

// Targets by position: near, middle, far. With lengths 128 .. 1024 they are 0-127, 128-511, 512-1023.
struct Bucket {
  std::string name;
  size_t begin, end;
};
std::vector<Bucket> buckets_of(const Plan& plan) {
  const auto first = static_cast<size_t>(plan.lengths.front()), last = static_cast<size_t>(plan.lengths.back());
  std::vector<Bucket> buckets{{"", 0, first}, {"", first, last / 2}, {"", last / 2, last}};
  for (auto& bucket : buckets) bucket.name = fmt::format("{}-{}", bucket.begin, bucket.end - 1);
  return buckets;
}

std::vector<double> bucket_means(const std::vector<std::vector<double>>& nats, const Bucket& bucket) {
  std::vector<double> means;
  for (const auto& window : nats) {
    double sum = 0.0;
    for (size_t i = bucket.begin; i < bucket.end; ++i) sum += window[i];
    means.push_back(sum / static_cast<double>(bucket.end - bucket.begin));
  }
  return means;
}

// A run of one kind and seed.
struct Measured {
  ArmRun run;
  std::vector<std::vector<double>> nats;
};

class StagedContext {
 public:
  explicit StagedContext(Laboratory& lab)
      : lab_(lab),
        plan_(lab.plan),
        cache_(tokenised(lab.prose.training, *lab.prose.tokenizer, lab.scratch / "prose.safetensors")),
        windows_(held_out_windows(lab.prose.test, *lab.prose.tokenizer, plan_.lengths.back(), plan_.windows)) {}

  void run() {
    tokens_ = tokens_of_an_arm();
    lab_.report.setting("E1",
                        fmt::format("{} tokens an arm and seed, {} a step, {} held-out windows", tokens_, plan_.batch, windows_.size()));
    for (const uint64_t seed : plan_.seeds) run_seed(seed);
    lab_.base = arms_.at("S").front().run.model;
    judge();
    tabulate();
    draw();
  }

 private:
  std::vector<train::MixedTokens::Corpus> corpora() const { return {{"prose", cache_}}; }

  std::vector<train::Stage> stages(const std::vector<std::pair<int64_t, int64_t>>& tenths_and_length) const {
    std::vector<train::Stage> stages;
    stages.reserve(tenths_and_length.size());
    for (const auto& [tenths, length] : tenths_and_length) stages.push_back({tokens_ * tenths / 10, length, {1.0}});
    return stages;
  }

  // Seconds of a token at one length, from a few steps of a model that is thrown away.
  double token_seconds(int64_t length) const {
    ArmOptions options{.stages = {{8 * plan_.batch, length, {1.0}}}};
    const auto run = train_arm(plan_, fresh_model(plan_, lab_.prose.tokenizer->size(), 0), corpora(), options);
    return run.wall() / static_cast<double>(8 * plan_.batch);
  }

  // As many as fit the time: three tenths of a run for C beside S and L, for every seed; whole tenths in whole steps.
  int64_t tokens_of_an_arm() const {
    const double near = token_seconds(plan_.lengths.front()), far = token_seconds(plan_.lengths.back());
    const double each = static_cast<double>(plan_.seeds.size()) * (0.85 * near + 0.15 * far + 0.3 * near + far);
    const auto fit = std::clamp(static_cast<int64_t>(plan_.seconds / each), plan_.least_tokens, plan_.most_tokens);
    const int64_t whole = std::max<int64_t>(1, fit / (10 * plan_.batch)) * 10 * plan_.batch;
    lab_.context.note("{:.0f} tokens/s at {}, {:.0f} at {}: {} tokens an arm and seed", 1.0 / near, plan_.lengths.front(), 1.0 / far,
                      plan_.lengths.back(), whole);
    return whole;
  }

  void run_seed(uint64_t seed) {
    const auto fork = lab_.scratch / fmt::format("fork-{}", seed);
    const auto& n = plan_.lengths;
    train("S", seed, {.stages = stages({{7, n[0]}, {1, n[1]}, {1, n[2]}, {1, n[3]}}), .seed = seed, .save_to = fork});
    train("C", seed, {.stages = stages({{7, n[0]}, {3, n[0]}}), .seed = seed, .start_at = fork});
    train("L", seed, {.stages = stages({{10, n[3]}}), .seed = seed});
    std::filesystem::remove_all(fork);
  }

  void train(const std::string& key, uint64_t seed, const ArmOptions& options) {
    Measured measured{train_arm(plan_, fresh_model(plan_, lab_.prose.tokenizer->size(), seed), corpora(), options), {}};
    measured.nats = window_nats(measured.run.model, windows_);
    run::MetricValues values{{"seconds", measured.run.wall()}, {"nats", mean_of_all(measured.nats)}};
    for (const auto& bucket : buckets_of(plan_)) values.emplace_back("nats " + bucket.name, mean(bucket_means(measured.nats, bucket)));
    lab_.report.measured(fmt::format("{}, seed {}", key, seed), values);
    lab_.context.note("{} seed {}: {:.1f} s, {:.4f} nats a token, {:.4f} at {}", key, seed, measured.run.wall(), mean_of_all(measured.nats),
                      values.back().second, buckets_of(plan_).back().name);
    arms_[key].push_back(std::move(measured));
  }

  static double mean(const std::vector<double>& x) {
    double sum = 0.0;
    for (const double each : x) sum += each;
    return sum / static_cast<double>(x.size());
  }

  // Late targets of arm `a` less those of arm `b`: seeds and windows are drawn independently of each other.
  run::Sample late_difference(const std::string& a, const std::string& b) const {
    const auto late = buckets_of(plan_).back();
    std::vector<std::vector<double>> difference;
    for (size_t s = 0; s < plan_.seeds.size(); ++s) {
      auto row = bucket_means(arms_.at(a)[s].nats, late);
      const auto other = bucket_means(arms_.at(b)[s].nats, late);
      for (size_t w = 0; w < row.size(); ++w) row[w] -= other[w];
      difference.push_back(std::move(row));
    }
    const size_t seeds = difference.size();
    return run::sample_of("mean over seeds and windows", {seeds, windows_.size()}, [difference, seeds](std::span<const size_t> drawn) {
      double sum = 0.0;
      for (size_t s = 0; s < seeds; ++s)
        for (size_t w = seeds; w < drawn.size(); ++w) sum += difference[drawn[s]][drawn[w] - seeds];
      return sum / static_cast<double>(seeds * (drawn.size() - seeds));
    });
  }

  void judge() {
    lab_.report.heading("Context grown in stages");
    std::vector<double> ratios;
    for (size_t s = 0; s < plan_.seeds.size(); ++s) ratios.push_back(arms_.at("S")[s].run.wall() / arms_.at("L")[s].run.wall());
    lab_.report.judge(claims::time, ratios);
    lab_.report.judge(claims::length, late_difference("S", "L"));
    lab_.report.judge(claims::short_only, late_difference("C", "S"));
  }

  // In the order in which they are drawn: an arm that a plot leaves out comes last, so that the others keep their colours.
  static constexpr std::array<std::pair<const char*, const char*>, 3> kArms = {
      {{"S", "staged: 70 % short, then longer"}, {"L", "long from the start"}, {"C", "short for ever"}}};

  void tabulate() {
    for (const auto& [arm, name] : kArms) {
      const std::string key = arm;
      const auto& runs = arms_.at(key);
      std::vector<double> seconds;
      for (const auto& each : runs) seconds.push_back(each.run.wall());
      run::Baseline row{.name = name, .values = {}, .note = fmt::format("{} seeds, {} tokens each", runs.size(), tokens_)};
      row.ours = key == "S";
      for (const auto& bucket : buckets_of(plan_)) {
        double sum = 0.0;
        for (const auto& each : runs) sum += mean(bucket_means(each.nats, bucket)) / static_cast<double>(runs.size());
        row.values.push_back({.of = "NLL at " + bucket.name, .value = sum, .interval = {}, .unit = "nats a token"});
      }
      if (key != "C") row.values.push_back({.of = "time", .value = mean(seconds), .interval = {}, .unit = "s"});
      lab_.report.baseline(row);
    }
  }

  void draw() {
    run::LinePlot by_tokens{
        .title = "Training loss against tokens", .x = {.label = "tokens"}, .y = {.label = "loss", .unit = "nats a token"}};
    run::LinePlot by_time{.title = "Training loss against time", .x = {.label = "time", .unit = "s"}, .y = by_tokens.y};
    run::LinePlot by_place{.title = "Held-out loss by position", .x = {.label = "position in the window"}, .y = by_tokens.y};
    for (const auto& arm : kArms) {
      const std::string key = arm.first;
      const auto& runs = arms_.at(key);
      const auto& first = runs.front();
      by_tokens.lines.push_back({.name = key, .x = first.run.tokens, .y = first.run.loss});
      if (key != "C") by_time.lines.push_back({.name = key, .x = first.run.seconds, .y = first.run.loss});
      run::Line line{.name = key, .x = {}, .y = {}};
      const size_t step = static_cast<size_t>(plan_.lengths.front()) / 2;
      for (size_t begin = 0; begin + step <= first.nats.front().size(); begin += step) {
        double sum = 0.0;
        for (const auto& each : runs) sum += mean(bucket_means(each.nats, {"", begin, begin + step})) / static_cast<double>(runs.size());
        line.x.push_back(static_cast<double>(begin) + static_cast<double>(step) / 2.0);
        line.y.push_back(sum);
      }
      by_place.lines.push_back(std::move(line));
    }
    by_tokens.caption = "First seed. C is S up to 70 % of the tokens.";
    by_time.caption = "First seed.";
    by_place.caption = "Mean of all seeds.";
    lab_.report.plot(by_tokens);
    lab_.report.plot(by_time);
    lab_.report.plot(by_place);
  }

  Laboratory& lab_;
  const Plan& plan_;
  train::TokenCache cache_;
  std::vector<std::vector<int64_t>> windows_;
  std::map<std::string, std::vector<Measured>> arms_;
  int64_t tokens_ = 0;
};

}  // namespace

void run_staged_context(Laboratory& lab) { StagedContext(lab).run(); }

}  // namespace tessera::danube
