#pragma once
// Learning rates by tokens: a pure function of how many tokens the run has seen, so that a change of batch or sequence length does not
// move the curve.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::train {

enum class Decay {
  constant,  // peak
  linear,    // a straight line from peak to lowest
  cosine,    // lowest + (peak - lowest) (1 + cos(pi x)) / 2, x from 0 at the end of the warm-up to 1 at the end (Danube, GaLore)
  wsd,       // warm-up, stable, decay: peak until the last `cooldown` tokens, then a straight line to lowest
  piecewise  // peak times the factor of the last piece that has begun
};

struct Schedule {
  Decay decay = Decay::cosine;
  double peak = 1e-3, lowest = 0.0;  // rates; 0 <= lowest <= peak
  int64_t warmup = 0;                // tokens over which the rate rises in a straight line from 0 to peak
  int64_t total = 0;                 // tokens of the whole run, 1 and up
  int64_t cooldown = 0;              // wsd only: tokens of its decay
  // ReLoRA's jags (arXiv 2307.05695, section 3.2): every restart_every tokens the rate falls to 0 and rises in a straight line, over
  // restart_warmup tokens, to where the curve then is. 0: none.
  int64_t restart_every = 0, restart_warmup = 0;
  std::vector<std::pair<int64_t, double>> pieces = {};  // piecewise only: {tokens from which it holds, factor}, ascending
};

// Throws InputError naming the field that is out of its range.
void check_schedule(const Schedule& schedule);

// The rate of the step after which the run has seen `tokens` tokens: peak at tokens == warmup, the curve's end at tokens >= total.
double rate_at(const Schedule& schedule, int64_t tokens);

}  // namespace tessera::train
