#pragma once
// The sampling options that generate and chat share.

#include <string>
#include <vector>

#include "tessera/lm/generate.h"
#include "tessera/run/options.h"

namespace tessera::app {

struct SamplingOptions {
  double temperature = 0.0, top_p = 1.0, min_p = 0.0, repeat_penalty = 1.0;
  int64_t top_k = 0;
  std::vector<std::string> logit_bias;  // ID=BIAS
  std::vector<std::string> stop;
};

// Throws InputError for a logit bias that is no ID=NUMBER.
lm::Sampling sampling_of(const SamplingOptions& options, uint64_t seed);

// The rows of SamplingOptions for a table whose struct derives from it.
template <class T>
void add_sampling(run::OptionTable<T>& table) {
  const auto real = [](double SamplingOptions::*member) { return static_cast<double T::*>(member); };
  table.number("temp", real(&SamplingOptions::temperature), run::Range{0, 100}, "temperature; 0 takes the most likely token")
      .number("top-k", static_cast<int64_t T::*>(&SamplingOptions::top_k), run::Range{0}, "keep the k most likely tokens; 0: all")
      .unit("tokens")
      .number("top-p", real(&SamplingOptions::top_p), run::Range{1e-6, 1}, "keep the likeliest tokens that together reach this probability")
      .number("min-p", real(&SamplingOptions::min_p), run::Range{0, 1}, "keep tokens at least this times as likely as the likeliest")
      .number("repeat-penalty", real(&SamplingOptions::repeat_penalty), run::Range{0.01, 100},
              "make tokens that are there already less likely; 1: do not")
      .list("logit-bias", static_cast<std::vector<std::string> T::*>(&SamplingOptions::logit_bias), "add to the logits of tokens")
      .metavar("ID=BIAS,..")
      .text("stop", static_cast<std::vector<std::string> T::*>(&SamplingOptions::stop),
            "end the answer before this text; may be given again");
}

}  // namespace tessera::app
