#pragma once
// metrics.jsonl: one JSON line a step with `step`, `time` and flat `group/name` keys, and the same scalars in a TensorBoard event file.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/run/tensorboard.h"

namespace tessera::run {

// {"train/loss", 2.31}; names are flat, with a slash between group and name.
using MetricValues = std::vector<std::pair<std::string, double>>;

// One line of metrics.jsonl, without the newline. `time` is seconds since 1970. Numbers keep every digit; a number that is not finite
// becomes the string "NaN", "Infinity" or "-Infinity", since JSON has no such number. Throws std::logic_error when a name is `step` or
// `time`, is empty, or occurs twice.
std::string metrics_line(int64_t step, double time, const MetricValues& values);

// Appends to the metrics of one run folder. Each write is flushed: a run that is killed leaves whole lines. Not for several threads at
// once.
class Metrics {
 public:
  // Opens `folder`/metrics.jsonl for appending and makes an event file beside it. Throws WorkError when it cannot.
  explicit Metrics(const std::filesystem::path& folder);

  // One step. Throws WorkError when the disk refuses it.
  void write(int64_t step, const MetricValues& values);
  // A PNG image or a text for TensorBoard only.
  void image(int64_t step, const std::string& name, std::string_view png);
  void text(int64_t step, const std::string& name, std::string_view text);

 private:
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  EventFile events_;
};

}  // namespace tessera::run
