#pragma once
// How far a long piece of work is: a bar on a terminal, a plain line every 10 s in a log.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace tessera {

// Where progress goes. The program fills it once from its options; tests give a temporary file.
struct ProgressOutput {
  std::FILE* file = nullptr;  // nullptr: silent
  bool terminal = false;      // redraw one line, up to 10 times a second; otherwise one plain line every `interval`
  bool colour = false;
  std::chrono::milliseconds interval{10'000};
};
ProgressOutput progress_on(std::FILE* file);  // a terminal is recognised; NO_COLOR and TERM=dumb are honoured

// One piece of work of `total` units (0: unknown). `unit` is the plural noun, for example "tokens". Not thread-safe: one thread reports.
class Progress {
 public:
  Progress(ProgressOutput output, std::string title, uint64_t total, std::string unit);
  ~Progress();  // clears the bar, or ends it when the work was completed
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(uint64_t done, std::string_view metric = "");  // metric: for example "perplexity 21.4"
  void advance(uint64_t units, std::string_view metric = "") { update(done_ + units, metric); }
  std::string line(double seconds) const;  // what is shown after `seconds` of work: title, share, rate, time left, metric

 private:
  void draw(bool last);

  ProgressOutput output_;
  std::string title_, unit_, metric_;
  uint64_t total_, done_ = 0;
  std::chrono::steady_clock::time_point start_, shown_;
  bool drawn_ = false;
};

std::string short_count(double value);       // 1234567 -> "1.23M"
std::string short_duration(double seconds);  // 3725 -> "1 h 2 min", 61 -> "1 min 1 s", 0.5 -> "0.5 s"
std::string short_bytes(double bytes);       // decimal units: 98'000'000 -> "98.0 MB"

}  // namespace tessera
