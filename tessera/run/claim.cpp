#include "tessera/run/claim.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace tessera::run {

namespace {

// The four bounds. Text and judgement both walk this table. A lower bound looks at an interval's low end, an upper bound at its high end.
struct Bound {
  const char* word;
  std::optional<double> Condition::*value;
  bool lower;
  bool strict;

  bool met(double measured, double bound) const {
    if (lower) return strict ? measured > bound : measured >= bound;
    return strict ? measured < bound : measured <= bound;
  }
};

constexpr std::array<Bound, 4> kBounds = {{{"above", &Condition::above, true, true},
                                           {"at least", &Condition::at_least, true, false},
                                           {"below", &Condition::below, false, true},
                                           {"at most", &Condition::at_most, false, false}}};

bool all_bounds_met(const Condition& condition, double low, double high) {
  bool met = !std::isnan(low) && !std::isnan(high);
  for (const Bound& bound : kBounds)
    if (const auto& value = condition.*bound.value) met = met && bound.met(bound.lower ? low : high, *value);
  return met;
}

bool condition_holds(const JudgedCondition& judged) {
  const Condition& condition = judged.condition;
  if (condition.interval) return all_bounds_met(condition, judged.interval->low, judged.interval->high);
  if (condition.every.empty()) return all_bounds_met(condition, judged.ours, judged.ours);
  bool met = !judged.values.empty();
  for (const double value : judged.values) met = met && all_bounds_met(condition, value, value);
  return met;
}

std::string thousands(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

[[noreturn]] void malformed(const Claim& claim, const std::string& what) {
  throw std::logic_error(fmt::format("claim \"{}\": {}", claim.id, what));
}

// The settings of the interval to show beside a point when another condition on the same quantity asks for one.
std::optional<PairedBootstrap> interval_of_quantity(const Claim& claim, const std::string& quantity) {
  for (const Condition& condition : claim.holds_if)
    if (condition.of == quantity && condition.interval) return condition.interval;
  return std::nullopt;
}

void check_condition(const Claim& claim, const Condition& condition) {
  double low = -INFINITY, high = INFINITY;
  size_t bounds = 0;
  for (const Bound& bound : kBounds) {
    const auto& value = condition.*bound.value;
    if (!value) continue;
    ++bounds;
    if (!std::isfinite(*value)) malformed(claim, "a bound is not finite");
    (bound.lower ? low : high) = bound.lower ? std::max(low, *value) : std::min(high, *value);
  }
  if (bounds == 0) malformed(claim, "a condition has no bound");
  if (low > high || (low == high && (condition.above == low || condition.below == high))) malformed(claim, "nothing can meet the bounds");
  if (condition.interval && !condition.every.empty()) malformed(claim, "a condition is on an interval or on every value, not both");
}

std::string join_names(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, ", ")); }

}  // namespace

void check_claim(const Claim& claim) {
  if (claim.id.empty()) malformed(claim, "no id");
  if (claim.says.empty()) malformed(claim, "no sentence");
  if (claim.measure.empty()) malformed(claim, "no measure");
  if (claim.holds_if.empty()) malformed(claim, "no condition");
  for (const Condition& condition : claim.holds_if) check_condition(claim, condition);
}

Judgement judge(const Claim& claim, const Samples& samples) {
  check_claim(claim);
  for (const auto& [name, sample] : samples) {
    bool used = false;
    for (const Condition& condition : claim.holds_if) used = used || condition.of == name;
    if (!used) malformed(claim, fmt::format("no condition speaks of \"{}\"", name));
  }
  Judgement judgement{.claim = claim, .verdict = Verdict::held, .conditions = {}, .why_not_measured = {}};
  for (const Condition& condition : claim.holds_if) {
    const auto found = samples.find(condition.of);
    if (found == samples.end()) malformed(claim, fmt::format("nothing was measured for \"{}\"", condition.of));
    const Sample& sample = found->second;
    JudgedCondition judged;
    judged.condition = condition;
    judged.statistic = sample.name;
    for (const size_t group : sample.groups) judged.items += group;
    judged.ours = point_estimate(sample);
    if (const auto settings = condition.interval ? condition.interval : interval_of_quantity(claim, condition.of))
      judged.interval = estimate(sample, *settings).interval;
    if (!condition.every.empty()) judged.values = sample.values;
    judged.holds = condition_holds(judged);
    if (!judged.holds) judgement.verdict = Verdict::not_held;
    judgement.conditions.push_back(std::move(judged));
  }
  return judgement;
}

Judgement judge(const Claim& claim, const Sample& sample) {
  Samples samples;
  for (const Condition& condition : claim.holds_if) samples.emplace(condition.of, sample);
  if (samples.size() > 1) malformed(claim, "its conditions speak of several quantities: give each its sample");
  return judge(claim, samples);
}

Judgement not_measured(const Claim& claim, std::string why) {
  check_claim(claim);
  if (why.empty()) malformed(claim, "not measured, and no reason given");
  return {.claim = claim, .verdict = Verdict::not_measured, .conditions = {}, .why_not_measured = std::move(why)};
}

std::string rule_text(const Condition& condition, const std::string& unit) {
  std::vector<std::string> bounds;
  for (const Bound& bound : kBounds)
    if (const auto& value = condition.*bound.value)
      bounds.push_back(fmt::format("{} {}{:g}", bound.word, *value < 0 ? "−" : "", std::abs(*value)));
  std::string text = fmt::format("{}{}{}", fmt::join(bounds, " and "), unit.empty() ? "" : " ", unit);
  if (condition.interval) return fmt::format("{:g} % interval {}", condition.interval->confidence * 100, text);
  return condition.every.empty() ? text : fmt::format("every {} {}", condition.every, text);
}

std::string rule_text(const Claim& claim) {
  std::vector<std::pair<std::string, std::vector<std::string>>> rules;  // a rule and the quantities it is for
  const PairedBootstrap* bootstrap = nullptr;
  for (const Condition& condition : claim.holds_if) {
    if (condition.interval) bootstrap = &*condition.interval;
    const std::string rule = rule_text(condition, claim.unit);
    auto same = std::find_if(rules.begin(), rules.end(), [&](const auto& known) { return known.first == rule; });
    if (same == rules.end()) same = rules.insert(rules.end(), {rule, {}});
    if (!condition.of.empty()) same->second.push_back("“" + condition.of + "”");
  }
  std::vector<std::string> parts;
  for (const auto& [rule, names] : rules) {
    const std::string subject = names.empty() ? "" : (names.size() > 1 ? "each of " : "") + join_names(names) + ": ";
    parts.push_back(subject + rule);
  }
  std::string text = fmt::format("{}", fmt::join(parts, "; and "));
  if (bootstrap) text += fmt::format(" (paired bootstrap, {} resamples)", thousands(bootstrap->resamples));
  return text;
}

std::string verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::held:
      return "held";
    case Verdict::not_held:
      return "not held";
    case Verdict::not_measured:
      return "not measured";
  }
  return "";
}

const JudgedCondition* deciding_condition(const Judgement& judgement) {
  for (const JudgedCondition& judged : judgement.conditions)
    if (!judged.holds) return &judged;
  return judgement.conditions.empty() ? nullptr : &judgement.conditions.front();
}

}  // namespace tessera::run
