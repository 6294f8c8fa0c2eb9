#pragma once
// What a training run of Danube leaves behind and shows: train.csv, metrics.jsonl, a progress line, and report.html with a curve a stage.

#include <memory>

#include "tessera/run/command.h"
#include "tessera/run/run_folder.h"
#include "tessera/train/loop.h"

namespace tessera::danube {

struct TrainingTitle {
  std::string title;                  // of the report: "Staged pre-training"
  std::string what;                   // one sentence
  int64_t tokens = 0;                 // of the whole run
  std::vector<std::string> own = {};  // names of the figures that this kind of training adds: "accuracy"
};

// One row of train.csv.
struct LoggedStep {
  int64_t step = 0, tokens = 0, stage = 1;
  double loss = 0.0, smoothed = 0.0, rate = 0.0, norm = 0.0, speed = 0.0;  // speed: tokens a second
  std::vector<double> own = {};
};

class TrainingLog {
 public:
  // `stage_names`: "1: rows of 128". Of a resumed run the rows up to `done` steps are read from train.csv and kept.
  TrainingLog(run::Context& context, run::RunFolder& folder, TrainingTitle title, std::vector<std::string> stage_names, int64_t done);
  ~TrainingLog();
  TrainingLog(TrainingLog&&) noexcept;

  void stepped(const train::StepReport& report, double seconds, int64_t stage, std::vector<double> own);
  void evaluated(const train::Figures& figures);
  // train.csv and report.html, now.
  void write();

  const std::vector<LoggedStep>& steps() const { return steps_; }
  double tokens_per_second() const;  // median of the last 20 steps
  std::optional<double> held_out() const { return eval_loss_.empty() ? std::nullopt : std::optional(eval_loss_.back()); }

 private:
  void read_csv(const std::filesystem::path& path, int64_t done);
  std::string csv() const;

  run::Context& context_;
  run::RunFolder& folder_;
  TrainingTitle title_;
  std::vector<std::string> stage_names_;
  std::vector<LoggedStep> steps_;
  std::vector<double> eval_tokens_, eval_loss_;
  std::unique_ptr<Progress> progress_;
  double started_, written_;
};

}  // namespace tessera::danube
