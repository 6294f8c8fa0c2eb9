#include "tessera/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tessera/base/error.h"

namespace tessera::train {

void check_schedule(const Schedule& s) {
  if (!(s.peak >= 0.0 && std::isfinite(s.peak))) throw InputError("the learning rate is {}; give 0 or more", s.peak);
  if (!(s.lowest >= 0.0 && s.lowest <= s.peak))
    throw InputError("the lowest learning rate is {}; give 0 to the peak, {}", s.lowest, s.peak);
  if (s.total < 1) throw InputError("a schedule over {} tokens; give 1 or more", s.total);
  if (s.warmup < 0 || s.warmup > s.total) throw InputError("the warm-up is {} tokens of {}; give 0 to the whole run", s.warmup, s.total);
  if (s.cooldown < 0 || s.cooldown > s.total - s.warmup)
    throw InputError("the decay is {} tokens, and {} are left after the warm-up; give no more", s.cooldown, s.total - s.warmup);
  if (s.restart_every < 0 || s.restart_warmup < 0 || s.restart_warmup > s.restart_every)
    throw InputError("restarts every {} tokens with a warm-up of {}; give 0 or more, and a warm-up within a cycle", s.restart_every,
                     s.restart_warmup);
  for (size_t i = 0; i < s.pieces.size(); ++i) {
    if (!(s.pieces[i].second >= 0.0)) throw InputError("a piece of the schedule has the factor {}; give 0 or more", s.pieces[i].second);
    if (i > 0 && s.pieces[i].first <= s.pieces[i - 1].first)
      throw InputError("the schedule's pieces begin at {} and then {} tokens; give ascending numbers", s.pieces[i - 1].first,
                       s.pieces[i].first);
  }
}

static double smooth_rate_at(const Schedule& s, int64_t tokens) {
  if (tokens < s.warmup) return s.peak * static_cast<double>(tokens) / static_cast<double>(s.warmup);
  const auto between = [&](int64_t begin) {  // 0 at `begin`, 1 at the end
    if (s.total <= begin) return 1.0;
    return std::clamp(static_cast<double>(tokens - begin) / static_cast<double>(s.total - begin), 0.0, 1.0);
  };
  switch (s.decay) {
    case Decay::constant:
      break;
    case Decay::linear:
      return s.peak + (s.lowest - s.peak) * between(s.warmup);
    case Decay::cosine:
      return s.lowest + 0.5 * (s.peak - s.lowest) * (1.0 + std::cos(std::numbers::pi * between(s.warmup)));
    case Decay::wsd:
      return tokens <= s.total - s.cooldown ? s.peak : s.peak + (s.lowest - s.peak) * between(s.total - s.cooldown);
    case Decay::piecewise: {
      double factor = 1.0;
      for (const auto& [from, value] : s.pieces)
        if (tokens >= from) factor = value;
      return s.peak * factor;
    }
  }
  return s.peak;
}

double rate_at(const Schedule& s, int64_t tokens) {
  if (s.restart_every < 1 || tokens <= s.restart_every) return smooth_rate_at(s, tokens);
  const int64_t begin = (tokens - 1) / s.restart_every * s.restart_every, since = tokens - begin;  // 1 to restart_every
  if (since >= s.restart_warmup) return smooth_rate_at(s, tokens);
  return smooth_rate_at(s, begin + s.restart_warmup) * static_cast<double>(since) / static_cast<double>(s.restart_warmup);
}

}  // namespace tessera::train
