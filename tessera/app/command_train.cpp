// train: a language model from a person's texts, stopped and continued at will.

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "tessera/app/commands.h"
#include "tessera/app/machine.h"
#include "tessera/app/train_report.h"
#include "tessera/app/train_setup.h"
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/memory.h"
#include "tessera/lm/save.h"
#include "tessera/run/environment.h"
#include "tessera/train/lora.h"
#include "tessera/train/parallel/collective.h"

namespace tessera::app {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string bytes_text(int64_t bytes) { return short_bytes(static_cast<double>(bytes)); }

void check_memory(const train::TrainPlan& plan) {
  train::check_fits(plan, static_cast<int64_t>(run::environment().memory_bytes), "--micro");
}

Json plan_json(const train::TrainPlan& plan, double rate) {
  return {{"parameters", plan.parameters},
          {"trained", plan.trained},
          {"steps", plan.steps},
          {"tokens", plan.tokens},
          {"bytes",
           {{"weights", plan.weights},
            {"gradients", plan.gradients},
            {"masters", plan.masters},
            {"optimizer", plan.optimizer},
            {"averages", plan.averages},
            {"activations", plan.activations},
            {"head", plan.head},
            {"workspace", plan.workspace},
            {"spare", plan.spare},
            {"program", plan.program},
            {"total", plan.bytes()}}},
          {"flops_per_step", plan.flops},
          {"product_rate", rate},
          {"seconds", plan.flops * static_cast<double>(plan.steps) / rate}};
}

const char* precision_text(const TrainCommand& options, torch::Dtype dtype) {
  if (dtype != torch::kBFloat16) return "fp32";
  return options.masters ? "bf16 with fp32 masters" : "bf16";
}

// Prints the plan; nothing is allocated but the model's shapes.
void dry_run(const TrainCommand& options, run::Context& context) {
  const auto corpora = train::parse_corpora(options.data, false);
  const auto config = planned_config(options);
  const auto language = language_options(options, corpora, {});
  train::check_stages(language, config);
  const auto dtype = train_dtype(context.settings().dtype);
  lm::Transformer shapes(config);  // its memory is reserved and never touched
  shapes->to(dtype);
  train::adapt(shapes, train::filled_adapters(options, config, train::steps_of(language), is_fresh(options)), 0, train::Touch::shapes_only);
  const auto plan = plan_of(options, shapes, language);
  const double rate = train::product_rate(config, std::min<int64_t>(language.batch, 2048), dtype);
  context.line("{} parameters, {} trained, {}", short_count(static_cast<double>(plan.parameters)),
               short_count(static_cast<double>(plan.trained)), precision_text(options, dtype));
  context.line(
      "memory: {} weights, {} gradients, {} masters, {} optimizer, {} averages, {} activations, {} head, {} workspace, {} spare, {} "
      "program: {} at once, of {}",
      bytes_text(plan.weights), bytes_text(plan.gradients), bytes_text(plan.masters), bytes_text(plan.optimizer), bytes_text(plan.averages),
      bytes_text(plan.activations), bytes_text(plan.head), bytes_text(plan.workspace), bytes_text(plan.spare), bytes_text(plan.program),
      bytes_text(plan.bytes()), bytes_text(static_cast<int64_t>(run::environment().memory_bytes)));
  const double step = plan.flops / rate;
  context.line("a step of {} tokens: {:.1f} GFLOP, at best {} with this machine's products ({:.0f} GFLOP/s)", language.batch,
               plan.flops / 1e9, short_duration(step), rate / 1e9);
  if (options.tokens > 0 || !options.stages.empty()) {
    context.line("{} steps, {} tokens: at best {}", plan.steps, short_count(static_cast<double>(plan.tokens)),
                 short_duration(step * static_cast<double>(plan.steps)));
  } else {
    context.line("three passes over the data: give --tokens for the time of a run");
  }
  context.result(plan_json(plan, rate));
  check_memory(plan);
}

// The finished model under <run>/model, with averaged weights when there are some: factors are added to their matrices, and an adapter that
// is all that was trained lies in <run>/adapter, too. Returns what a person uses then.
fs::path write_final_model(train::Trainer& trainer, TrainSetup& setup, const TrainCommand& options) {
  const fs::path model = setup.folder / "model", adapter = setup.folder / "adapter";
  const bool plain = train::is_plain_lora(setup.adapters);
  trainer.with_averaged_weights([&] {
    if (plain) {
      AtomicFolder folder(adapter, true);
      train::save_lora(*setup.model, folder.folder(), is_fresh(options) ? "" : fs::absolute(options.model).string());
      folder.commit();
    }
    if (!options.merge) return;
    if (options.weights != train::Weights::full) train::merge_lora(*setup.model);
    AtomicFolder folder(model, true);
    lm::save_model(setup.model, folder.folder(), {.source = setup.folder / "tokenizer"});
    folder.commit();
  });
  return options.merge ? model : adapter;
}

void summarise(const TrainSetup& setup, const train::Trainer& trainer, const TrainReport& report, const fs::path& model, double seconds,
               run::Context& context) {
  const auto& history = report.history();
  const double smoothed = history.smoothed.empty() ? 0.0 : history.smoothed.back();
  const bool evaluated = !history.eval_loss.empty();
  context.line("{} steps, {} tokens, loss {:.3f}{}, {} ({:.0f} tokens/s)", trainer.steps_done(),
               short_count(static_cast<double>(trainer.tokens_seen())), smoothed,
               evaluated ? fmt::format(", held-out loss {:.3f}", history.eval_loss.back()) : "", short_duration(seconds),
               report.tokens_per_second());
  if (fs::exists(model / "adapter_config.json")) {
    context.line("adapter: {}    tessera merge MODEL {} OUT", model.string(), model.string());
  } else {
    context.line("model:  {}    tessera generate {} -p \"Once\" -n 60", model.string(), model.string());
  }
  context.line("report: {}", (setup.folder / "report.html").string());
  Json document{{"run", setup.folder.string()},
                {"model", model.string()},
                {"report", (setup.folder / "report.html").string()},
                {"steps", trainer.steps_done()},
                {"tokens", trainer.tokens_seen()},
                {"parameters", lm::parameter_count(setup.model->config())},
                {"loss", history.loss.empty() ? Json() : Json(history.loss.back())},
                {"smoothed", smoothed},
                {"eval_loss", evaluated ? Json(history.eval_loss.back()) : Json()},
                {"seconds", seconds},
                {"tokens_per_second", report.tokens_per_second()},
                {"peak_rss_bytes", process_memory().peak}};
  context.result(std::move(document));
}

train::LoopOptions loop_options(const TrainCommand& options, int64_t steps) {
  return {.steps = steps,
          .save_every = options.save_every > 0 ? options.save_every : std::clamp<int64_t>(steps / 10, 1, 200),
          .eval_every = options.eval_every > 0 ? options.eval_every : std::max<int64_t>(1, steps / 20)};
}

// What the loop tells a run's folder and report; nothing on ranks other than 0.
train::LoopEvents events_of(TrainReport* report, run::RunFolder* folder) {
  if (report == nullptr) return {};
  return {.stepped = [report](const train::StepReport& step, double seconds) { report->stepped(step, seconds); },
          .evaluated = [report](int64_t step, const train::Figures& figures) { report->evaluated(step, figures); },
          .saved = [folder](int64_t step,
                            const fs::path& path) { folder->log(fmt::format("step {}: saved {}", step, path.filename().string())); }};
}

// The processes that mpirun or srun started together with this one.
std::shared_ptr<train::Collective> join_ranks(run::Context& context) {
  if (train::started_as().size > 1 && context.settings().out.empty())
    throw InputError("{} ranks need one folder; give --out RUN", train::started_as().size);
  const auto lost = [](const std::string& line) {
    std::fprintf(stderr, "tessera: %s\n", line.c_str());
    std::_Exit(1);
  };
  auto ranks = train::join(lost, context.settings().device == run::Device::cuda ? torch::kCUDA : torch::kCPU);
  if (ranks->size() > 1 && context.settings().threads == 0) at::set_num_threads(static_cast<int>(train::threads_of_rank(*ranks)));
  return ranks;
}

// Rank 0 prepares the folder, then the others read it.
TrainSetup set_up_on(train::Collective& ranks, const TrainCommand& options, run::Context& context) {
  TrainSetup setup;
  if (ranks.rank() == 0) setup = set_up_training(options, context, ranks.device(), true);
  ranks.barrier();
  if (ranks.rank() != 0) setup = set_up_training(options, context, ranks.device(), false);
  setup.language.rank = ranks.rank();
  setup.language.ranks = ranks.size();
  train::check_stages(setup.language, setup.model->config());
  return setup;
}

std::shared_ptr<train::MixedTokens> mixed_of(TrainSetup& setup, train::Packing packing, const run::Context& context) {
  int64_t longest = 2;
  for (const auto& stage : setup.language.stages) longest = std::max(longest, stage.length);
  return std::make_shared<train::MixedTokens>(
      std::move(setup.corpora),
      train::MixedTokensOptions{
          .seed = context.settings().seed, .piece = longest, .mask_documents = setup.language.mask_documents, .packing = packing});
}

void announce(const TrainCommand& options, const TrainSetup& setup, const train::TrainPlan& plan, const train::Trainer& trainer,
              run::Context& context) {
  context.note("{}: {} parameters, {}, {} steps of {} tokens{}{}", setup.folder.string(), short_count(static_cast<double>(plan.parameters)),
               precision_text(options, setup.model->dtype()), plan.steps, setup.language.batch,
               setup.language.ranks > 1 ? fmt::format(" on {} ranks", setup.language.ranks) : "",
               setup.checkpoint ? fmt::format("; goes on after step {}", trainer.steps_done()) : "");
}

void train_model(const TrainCommand& options, run::Context& context) {
  if (options.dry_run) return dry_run(options, context);
  const auto start = std::chrono::steady_clock::now();
  const auto ranks = join_ranks(context);
  auto setup = set_up_on(*ranks, options, context);
  const auto plan = plan_of(options, setup.model, setup.language);
  check_memory(plan);
  const auto write = [&setup](const fs::path& to) { lm::save_model(setup.model, to, {.source = setup.folder / "tokenizer"}); };
  const bool first = ranks->rank() == 0;
  auto how = trainer_options(options, setup, plan.tokens);
  how.ranks = ranks;
  auto task = train::language_task(setup.model, mixed_of(setup, options.packing, context),
                                   first ? setup.held_out : std::vector<train::TokenCache>{}, setup.language, write);
  train::adapt_task(task, setup.model, setup.adapters, context.settings().seed, options.weight_decay);
  train::Trainer trainer(std::move(task), std::move(how));
  if (setup.checkpoint) trainer.read(*setup.checkpoint);
  std::optional<TrainReport> report;
  auto* folder = first ? &(options.resume ? context.resumed_folder() : context.folder()) : nullptr;
  if (first) {
    announce(options, setup, plan, trainer, context);
    report.emplace(context, *folder, plan, fmt::format("{} tokens a step, {} optimizer", setup.language.batch, options.name),
                   metrics_until(setup.folder / "metrics.jsonl", trainer.steps_done()), trainer.tokens_seen());
  }
  train::Checkpoints checkpoints(setup.folder, options.keep);
  const auto ended =
      train::run_steps(trainer, checkpoints, loop_options(options, plan.steps), events_of(report ? &*report : nullptr, folder));
  ranks->barrier();
  if (first) {
    report->write();
    if (ended == train::Ended::done) {
      const auto model = write_final_model(trainer, setup, options);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      summarise(setup, trainer, *report, model, seconds, context);
    }
  }
  ranks->leave();
  if (ended == train::Ended::interrupted)
    throw Interrupted("stopped after step {} of {}, saved; go on with: tessera train --resume {}", trainer.steps_done(), plan.steps,
                      setup.folder.string());
}

}  // namespace

run::Command train_command() { return run::command("train", "train a language model on your texts", train_options, train_model); }

}  // namespace tessera::app
