#include "tessera/base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <span>
#include <utility>

namespace tessera {

using Clock = std::chrono::steady_clock;

ProgressOutput progress_on(std::FILE* file) {
  ProgressOutput output{.file = file};
  const char* term = std::getenv("TERM");
  output.terminal = ::isatty(::fileno(file)) == 1 && !(term != nullptr && std::string_view(term) == "dumb");
  output.colour = output.terminal && std::getenv("NO_COLOR") == nullptr;
  return output;
}

Progress::Progress(ProgressOutput output, std::string title, uint64_t total, std::string unit)
    : output_(output), title_(std::move(title)), unit_(std::move(unit)), total_(total), start_(Clock::now()), shown_(start_) {}

Progress::~Progress() {
  if (output_.file == nullptr) return;
  const bool complete = total_ > 0 && done_ >= total_;
  if (output_.terminal) {
    if (!drawn_) return;
    if (complete) {
      draw(true);
    } else {
      std::fputs("\r\x1b[K", output_.file);
    }
    std::fflush(output_.file);
  } else if (drawn_ && complete) {
    draw(true);
  }
}

void Progress::update(uint64_t done, std::string_view metric) {
  done_ = done;
  if (output_.file == nullptr) return;
  if (!metric.empty()) metric_ = metric;
  const auto now = Clock::now();
  const auto wait = output_.terminal ? std::chrono::milliseconds(100) : output_.interval;
  if (now - shown_ < wait) return;
  shown_ = now;
  draw(false);
}

std::string Progress::line(double seconds) const {
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string text = title_;
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    text += fmt::format("  {:3.0f} %  {}/{} {}", std::floor(100 * share), short_count(static_cast<double>(done_)),
                        short_count(static_cast<double>(total_)), unit_);
  } else {
    text += fmt::format("  {} {}", short_count(static_cast<double>(done_)), unit_);
  }
  if (rate > 0) text += fmt::format("  {}/s", short_count(rate));
  if (total_ > done_ && rate > 0) text += fmt::format("  {} left", short_duration(static_cast<double>(total_ - done_) / rate));
  if (total_ > 0 && done_ >= total_) text += fmt::format("  in {}", short_duration(seconds));
  if (!metric_.empty()) text += "  " + metric_;
  return text;
}

void Progress::draw(bool last) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const std::string text = line(seconds);
  drawn_ = true;
  if (!output_.terminal) {
    fmt::print(output_.file, "{}\n", text);
    std::fflush(output_.file);
    return;
  }
  winsize window{};
  const bool known = ::ioctl(::fileno(output_.file), TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
  const size_t columns = known ? window.ws_col : 80;
  std::string bar;
  if (total_ > 0 && columns > text.size() + 14) {
    const size_t width = std::min<size_t>(30, columns - text.size() - 4);
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    const auto full = static_cast<size_t>(share * static_cast<double>(width));
    for (size_t i = 0; i < width; ++i) bar += i < full ? "█" : "░";
    bar = output_.colour ? fmt::format("\x1b[36m{}\x1b[0m ", bar) : bar + " ";
  }
  fmt::print(output_.file, "\r\x1b[K{}{}{}", bar, text.substr(0, columns - 1), last ? "\n" : "");
  std::fflush(output_.file);
}

namespace {

std::string with_unit(double value, std::span<const char* const> units) {
  size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  const bool whole = unit == 0 && value == std::floor(value);
  const int digits = whole || std::abs(value) >= 99.95 ? 0 : (std::abs(value) >= 9.995 ? 1 : 2);
  return fmt::format("{:.{}f}{}", value, digits, units[unit]);
}

}  // namespace

std::string short_count(double value) {
  static constexpr std::array units{"", "k", "M", "G", "T"};
  return with_unit(value, units);
}

std::string short_bytes(double bytes) {
  static constexpr std::array units{" B", " kB", " MB", " GB", " TB"};
  return with_unit(bytes, units);
}

std::string short_duration(double seconds) {
  if (seconds < 0.9995) return fmt::format("{:.{}f} s", seconds, seconds < 0.1 ? 3 : 2);
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace tessera
