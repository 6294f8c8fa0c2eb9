#pragma once
// A claim: one sentence of a paper with its number, and the rule, written before measuring, that decides whether our measurement supports
// it. The rule is data. The text a reader sees and the judgement are both made from it, so they cannot disagree.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tessera/run/bootstrap.h"

namespace tessera::run {

// One condition on one measured quantity. Bounds that are set must all be met. What they are compared with:
// - `interval` set: the whole interval (its low end for above/at_least, its high end for below/at_most);
// - `every` set: each single value of the sample;
// - neither: the point estimate.
struct Condition {
  std::string of = {};  // the quantity's name; may stay empty when the claim has only one
  std::optional<PairedBootstrap> interval = {};
  std::string every = {};  // what one value is: "seed"
  std::optional<double> above = {}, at_least = {}, below = {}, at_most = {};
};

// Committed before the first measurement and left alone after it. It holds when all its conditions hold:
//   .holds_if = {{.interval = PairedBootstrap{}, .above = 0.0}}                                      one quantity
//   .holds_if = {{.at_least = 0.5}, {.interval = PairedBootstrap{}, .above = 0.2}}                   its point and its interval
//   .holds_if = {{.of = "reverse, n = 3", .interval = PairedBootstrap{}, .above = 0.0},
//                {.of = "RM, n = 3", .below = 0.10}}                                                 several quantities
//   .holds_if = {{.every = "seed", .at_least = 0.05}}                                                on every seed
struct Claim {
  std::string id;                   // short and stable: "C2-random"
  std::string says;                 // the sentence
  std::string theirs;               // the paper's number and its setting
  std::string measure;              // what one value of ours is, on which model and data
  std::string unit = {};            // of the quantities and bounds: "nats", "points"; empty for a pure number
  std::vector<Condition> holds_if;  // at least one
  std::string cannot_show = {};     // what our scale leaves open; empty when nothing
};

enum class Verdict { held, not_held, not_measured };

// A condition with what was measured for it.
struct JudgedCondition {
  Condition condition;
  std::string statistic;             // "mean", "Spearman correlation"
  size_t items = 0;                  // windows, questions or seeds behind it
  double ours = 0;                   // point estimate; may be not a number
  std::optional<Interval> interval;  // set when the condition asks for one, or another condition on the same quantity does
  std::vector<double> values;        // the single values of an `every` condition
  bool holds = false;
};

struct Judgement {
  Claim claim;
  Verdict verdict = Verdict::not_measured;
  std::vector<JudgedCondition> conditions;  // as in claim.holds_if; empty when nothing was measured
  std::string why_not_measured;             // set exactly when the verdict is not_measured
};

// The measured quantities of one claim by the names its conditions use.
using Samples = std::map<std::string, Sample, std::less<>>;

// Judges a claim. The second form is for a claim whose conditions all speak of one quantity. A value that is not a number meets no bound.
// Throws std::logic_error (a mistake in the method, which its --quick test finds) when the claim is malformed, a named quantity has no
// sample, or a sample is named by no condition.
Judgement judge(const Claim& claim, const Samples& samples);
Judgement judge(const Claim& claim, const Sample& sample);
// A claim that this run does not measure, with the reason a reader sees: "needs --full". Never counts as held.
Judgement not_measured(const Claim& claim, std::string why);

// "95 % interval above 0 nats"; "every seed at least 0.05"; "at least 0.5". Without the quantity's name.
std::string rule_text(const Condition& condition, const std::string& unit);
// The whole rule in one sentence, quantities with the same rule together: "each of A, B: 95 % interval above 0 nats; and C: below 0.1
// nats".
std::string rule_text(const Claim& claim);
// "held", "not held", "not measured": the words in tables and documents.
std::string verdict_text(Verdict verdict);
// The condition that stands for a judgement where only one number fits: the first that does not hold, else the first; nullptr when there is
// none.
const JudgedCondition* deciding_condition(const Judgement& judgement);

// Throws std::logic_error when the claim lacks an id, sentence, measure or condition, a condition has no bound, both `interval` and
// `every`, a bound that is not finite, or bounds that nothing can meet.
void check_claim(const Claim& claim);

}  // namespace tessera::run
