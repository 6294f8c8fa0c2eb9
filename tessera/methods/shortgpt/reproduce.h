#pragma once
// The embedded experiment (reproduce.cpp), its part on quantisation (reproduce_quantised.cpp) and its
// --full parts (reproduce_full.cpp).

#include "tessera/methods/shortgpt/opened_model.h"
#include "tessera/run/method.h"
#include "tessera/run/report.h"

namespace tessera::shortgpt {

void reproduce(run::Report& report, run::Context& context, run::Mode mode);

// The claims, in the order of the report. Their rules were committed before the first measurement that could decide them.
namespace claims {
extern const run::Claim predicts_damage;   // C1
extern const run::Claim beats_baselines;   // C2
extern const run::Claim generation_first;  // C3
extern const run::Claim quantised_too;     // C4
extern const run::Claim norm_placement;    // C5
extern const run::Claim heals;             // C6
extern const run::Claim mamba;             // C7
}  // namespace claims

struct Plan;
struct TrainingPlan;

// C4: rounding to nearest and GPTQ, before and after the removal of `removed`, on `evaluation`.
void measure_quantisation(run::Report& report, lm::Transformer& model, const Windows& calibration, const Windows& evaluation,
                          const std::vector<int64_t>& removed);

// The rankings again on Gemma3-270M, without claims of their own.
inline constexpr const char* kSecondModel = "gemma3-270m";
void measure_second_model(run::Report& report, run::Context& context, const Plan& plan);

// What measure_* of reproduce_full.cpp judge: C5 and C7 train small models on `text`, C6 heals `opened` without the layers `removed`.
void measure_norm_placement(run::Report& report, run::Context& context, const std::string& text, const TrainingPlan& plan);
void measure_healing(run::Report& report, run::Context& context, OpenedModel& opened, const std::vector<int64_t>& removed,
                     const Windows& training, const Windows& evaluation, const TrainingPlan& plan);
void measure_mamba(run::Report& report, run::Context& context, const std::string& text, const TrainingPlan& plan);

}  // namespace tessera::shortgpt
