#include "tessera/run/metrics.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tessera/base/error.h"

namespace tessera::run {

namespace {

nlohmann::ordered_json metric_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

double seconds_since_1970() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

std::string metrics_line(int64_t step, double time, const MetricValues& values) {
  nlohmann::ordered_json line;
  line["step"] = step;
  line["time"] = std::round(time * 1000) / 1000;
  for (const auto& [name, value] : values) {
    if (name.empty()) throw std::logic_error("a metric has no name");
    if (line.contains(name)) throw std::logic_error("metric \"" + name + "\" occurs twice in one step");
    line[name] = metric_number(value);
  }
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Metrics::Metrics(const std::filesystem::path& folder)
    : path_(folder / "metrics.jsonl"), file_(std::fopen(path_.c_str(), "ab"), std::fclose), events_(folder) {
  if (!file_) throw WorkError("cannot write {}: {}; choose another --out", path_.string(), std::strerror(errno));
}

void Metrics::write(int64_t step, const MetricValues& values) {
  const double now = seconds_since_1970();
  const std::string line = metrics_line(step, now, values) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fflush(file_.get()) != 0)
    throw WorkError("cannot write {}: {}; free some disk space", path_.string(), std::strerror(errno));
  for (const auto& [name, value] : values) events_.scalar(name, step, now, value);
}

void Metrics::image(int64_t step, const std::string& name, std::string_view png) { events_.image(name, step, seconds_since_1970(), png); }

void Metrics::text(int64_t step, const std::string& name, std::string_view text) { events_.text(name, step, seconds_since_1970(), text); }

}  // namespace tessera::run
