#include "tessera/app/sampling.h"

#include <charconv>
#include <cmath>

#include "tessera/base/error.h"

namespace tessera::app {

lm::Sampling sampling_of(const SamplingOptions& options, uint64_t seed) {
  lm::Sampling sampling;
  sampling.temperature = options.temperature;
  sampling.top_k = options.top_k;
  sampling.top_p = options.top_p;
  sampling.min_p = options.min_p;
  sampling.repetition_penalty = options.repeat_penalty;
  sampling.seed = seed;
  for (const auto& entry : options.logit_bias) {
    int64_t id = 0;
    double bias = 0;
    const char* end = entry.data() + entry.size();
    const auto [equals, error] = std::from_chars(entry.data(), end, id);
    bool good = error == std::errc{} && equals != end && *equals == '=' && id >= 0;
    if (good) {
      const char* begin = equals + 1 + (equals + 1 != end && equals[1] == '+' ? 1 : 0);
      const auto [stop, problem] = std::from_chars(begin, end, bias);
      good = problem == std::errc{} && stop == end && std::isfinite(bias);
    }
    if (!good) throw InputError("--logit-bias {}: not ID=BIAS; give a token id and a number such as 42=-5", tessera::quoted(entry));
    sampling.logit_bias[id] = bias;
  }
  return sampling;
}

}  // namespace tessera::app
