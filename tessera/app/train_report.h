#pragma once
// What a training run shows while it goes: metrics, the progress line, and a report that is rewritten as it runs.

#include <memory>

#include "tessera/run/command.h"
#include "tessera/run/run_folder.h"
#include "tessera/train/loop.h"
#include "tessera/train/plan.h"

namespace tessera::app {

// The curves of a run so far.
struct TrainHistory {
  std::vector<double> tokens, loss, smoothed, rate, norm, speed;  // one a step
  std::vector<double> eval_tokens, eval_loss;
};

// Reads a metrics.jsonl and cuts off what lies behind `step`, atomically: a resumed run writes those lines again. A missing file is empty.
TrainHistory metrics_until(const std::filesystem::path& metrics, int64_t step);

class TrainReport {
 public:
  TrainReport(run::Context& context, run::RunFolder& folder, const train::TrainPlan& plan, std::string what, TrainHistory history,
              int64_t done_tokens);
  ~TrainReport();

  void stepped(const train::StepReport& report, double seconds);
  void evaluated(int64_t step, const train::Figures& figures);
  void write();  // report.html, now

  const TrainHistory& history() const { return history_; }
  double tokens_per_second() const { return speed_; }  // median of the last 20 steps

 private:
  void write_now_and_then();

  run::Context& context_;
  run::RunFolder& folder_;
  train::TrainPlan plan_;
  std::string what_;
  TrainHistory history_;
  std::unique_ptr<Progress> progress_;
  int64_t tokens_;
  double speed_ = 0.0, started_ = 0.0, written_ = 0.0;
};

}  // namespace tessera::app
