// tessera galore tune: the search for learning rates behind the experiment, the same for every arm.

#include <numeric>

#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"
#include "tessera/methods/galore/commands.h"
#include "tessera/methods/galore/reproduce.h"

namespace tessera::galore {
namespace {

using Json = nlohmann::ordered_json;

struct TuneCommand {
  std::vector<std::string> arms;
  int64_t steps = 400;
};

// F trains with B's rates, and D is B without a switch: neither is searched.
std::vector<Arm> searched_arms(const Plan& plan) {
  auto arms = arms_of(plan);
  std::erase_if(arms, [](const Arm& arm) { return arm.key == "F" || arm.key == "D"; });
  return arms;
}

run::OptionTable<TuneCommand> tune_options() {
  return run::OptionTable<TuneCommand>()
      .list("arms", &TuneCommand::arms, "A AdamW, B GaLore-AdamW, C W = B A, E LoRA; left out: all")
      .number("steps", &TuneCommand::steps, run::Range{1, 1e6}, "of each training; the experiment's are 400")
      .example("tessera galore tune", "nine trainings an arm: half an hour on two cores")
      .example("tessera galore tune --arms C", "one arm")
      .example("tessera galore tune --steps 100 --json", "a rough search, for a script")
      .check([](const TuneCommand& given) {
        for (const auto& key : given.arms) {
          const auto known = searched_arms({});
          if (std::none_of(known.begin(), known.end(), [&](const Arm& arm) { return arm.key == key; }))
            throw InputError("--arms {}: no such arm; give some of A, B, C, E", tessera::quoted(key));
        }
      });
}

// Tries rates of one arm: first the matrices', the others' at .01, then the others' at the matrices' best.
class Search {
 public:
  Search(Arm arm, const Plan& plan, const Prose& prose, run::Context& context)
      : arm_(std::move(arm)), plan_(plan), prose_(prose), context_(context) {}

  Json run() {
    arm_.other_rate = 0.01;
    best_ = arm_;
    for (const double rate : kGrid) {
      arm_.matrix_rate = rate;
      measure();
    }
    arm_.matrix_rate = best_.matrix_rate;
    for (const double rate : kGrid) {
      arm_.other_rate = rate;
      if (rate != 0.01) measure();
    }
    context_.line("{}: best with {} for matrices and {} for the rest, {:.4f} nats a byte", arm_.name, best_.matrix_rate, best_.other_rate,
                  least_);
    return {{"arm", arm_.key},         {"name", arm_.name}, {"matrix_rate", best_.matrix_rate}, {"other_rate", best_.other_rate},
            {"nats_per_byte", least_}, {"tried", tried_}};
  }

 private:
  static constexpr double kGrid[] = {0.001, 0.0025, 0.005, 0.01, 0.02};
  static constexpr uint64_t kSeed = 11;  // the experiment's are 1, 2, 3

  void measure() {
    throw_if_interrupted();
    const auto result = run_arm(arm_, plan_, prose_, kSeed);
    const double nats = std::accumulate(result.nats.begin(), result.nats.end(), 0.0) / static_cast<double>(result.nats.size());
    context_.note("{}: matrices {}, rest {}: {:.4f} nats a byte, {:.1f} s", arm_.name, arm_.matrix_rate, arm_.other_rate, nats,
                  result.seconds);
    tried_.push_back({{"matrix_rate", arm_.matrix_rate}, {"other_rate", arm_.other_rate}, {"nats_per_byte", nats}});
    if (!(nats < least_)) return;
    least_ = nats;
    best_ = arm_;
  }

  Arm arm_, best_;
  const Plan& plan_;
  const Prose& prose_;
  run::Context& context_;
  double least_ = INFINITY;
  Json tried_ = Json::array();
};

void tune(const TuneCommand& options, run::Context& context) {
  Plan plan;
  plan.steps = options.steps;
  const auto prose = real_prose(ProseFor::rates);
  Json arms = Json::array();
  for (const auto& arm : searched_arms(plan)) {
    if (!options.arms.empty() && std::find(options.arms.begin(), options.arms.end(), arm.key) == options.arms.end()) continue;
    arms.push_back(Search(arm, plan, prose, context).run());
  }
  context.result({{"text", prose.what}, {"steps", plan.steps}, {"arms", arms}});
}

}  // namespace

run::Command tune_command() {
  return run::command("tune", "search the learning rates of the experiment's arms, equally", tune_options, tune);
}

}  // namespace tessera::galore
