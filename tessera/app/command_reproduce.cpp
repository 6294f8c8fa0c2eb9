// reproduce METHOD | --all: a method's embedded experiment, its claims judged.

#include <torch/version.h>

#include "tessera/app/commands.h"
#include "tessera/base/error.h"
#include "tessera/base/progress.h"
#include "tessera/methods/methods.h"
#include "tessera/run/installed.h"
#include "tessera/run/run_folder.h"
#include "tessera/run/scoreboard.h"

namespace tessera::app {

namespace {

struct ReproduceOptions {
  std::optional<std::string> method;
  bool all = false, quick = false, full = false;
};

void check_reproduce(const ReproduceOptions& options) {
  if (options.quick && options.full) throw InputError("--quick and --full exclude each other; give one of them");
  if (options.all && options.method)
    throw InputError("--all and METHOD {} exclude each other; give one of them", tessera::quoted(*options.method));
  if (!options.all && !options.method) throw InputError("METHOD is missing; give a method's name or --all; tessera list names them");
}

run::Mode mode_of(const ReproduceOptions& options) {
  return options.quick ? run::Mode::quick : options.full ? run::Mode::full : run::Mode::normal;
}

const run::Method& reproducible(const std::string& slug) {
  std::vector<std::string> names;
  for (const auto& method : methods()) names.push_back(method.slug);
  const run::Method* method = find_method(slug);
  if (method != nullptr && method->reproduce) return *method;
  if (method != nullptr) throw InputError("METHOD {}: it has no experiment; tessera list names the methods", slug);
  const std::string near = run::nearest(slug, names);
  throw InputError("METHOD {}: no such method; {}", tessera::quoted(slug),
                   near.empty() ? "tessera list names them" : "did you mean " + near + "?");
}

// A line of metrics.jsonl and of log.txt for every measured arm; steps count the arms.
void record_measurements(run::Report& report, run::RunFolder& folder) {
  report.send_measured_to([&folder, arms = int64_t{0}](const std::string& arm, const run::MetricValues& values) mutable {
    run::MetricValues named;
    std::string text = arm + ":";
    for (const auto& [name, value] : values) {
      named.emplace_back(fmt::format("{}/{}", arm, name), value);
      text += fmt::format(" {} {:.6g};", name, value);
    }
    folder.metrics().write(++arms, named);
    folder.log(text.substr(0, text.size() - 1));
  });
}

// Runs the experiment in the context's folder and writes its report.
nlohmann::ordered_json reproduce_method(const run::Method& method, run::Mode mode, run::Context& context) {
  const auto& settings = context.settings();
  run::Report report(context.folder().path(),
                     {.method = method.slug, .title = method.title, .paper = method.paper, .what = method.use, .mode = mode});
  report.recipe(context.recipe());
  report.setting("LibTorch", TORCH_VERSION);
  report.setting("device", run::name_of(settings.device));
  report.setting("dtype", run::name_of(settings.dtype));
  report.setting("threads", fmt::format("{}", at::get_num_threads()));
  report.setting("seed", fmt::format("{}", settings.seed));
  record_measurements(report, context.folder());
  context.folder().log(fmt::format("reproduce {}, {} run", method.slug, run::mode_text(mode)));
  method.reproduce(report, context, mode);
  const auto path = report.write();
  if (report.refuted()) context.not_held();
  for (const auto& judgement : report.judgements())
    context.line("{:<14} {:<13} {}", judgement.claim.id, run::verdict_text(judgement.verdict), judgement.claim.says);
  context.line("report: {}", path.string());
  return report.document();
}

// One method of --all in a folder of its own; its row of the scoreboard is filled. An experiment that fails does not stop the others.
nlohmann::ordered_json reproduce_part(const run::Method& method, run::Mode mode, run::Context& whole, run::ScoreboardRow& row) {
  run::Context part(whole, "reproduce " + method.slug, whole.folder().artifact(method.slug));
  try {
    auto document = reproduce_method(method, mode, part);
    run::fill_from_document(row, document);
    row.report = "artifacts/" + method.slug + "/report.html";
    if (!part.held()) whole.not_held();
    return document;
  } catch (const Interrupted&) {
    throw;
  } catch (const std::exception& error) {
    whole.note("{}: {}", method.slug, tessera::quoted(error.what(), 400));
    return {{"method", method.slug}, {"error", error.what()}};
  }
}

void reproduce_all(run::Mode mode, run::Context& context) {
  std::vector<run::ScoreboardRow> rows;
  nlohmann::ordered_json documents = nlohmann::ordered_json::array();
  std::string failed;
  for (const auto& method : methods()) {
    rows.push_back({.slug = method.slug,
                    .title = method.title,
                    .paper = method.paper,
                    .use = method.use,
                    .useful = method.columns.useful,
                    .faithful = method.columns.faithful,
                    .proven = method.columns.proven,
                    .fast = method.columns.fast});
    if (!method.reproduce) continue;
    documents.push_back(reproduce_part(method, mode, context, rows.back()));
    if (documents.back().contains("error")) failed += (failed.empty() ? "" : ", ") + method.slug;
  }
  // --quick judges nothing: it must not replace what a deciding run wrote.
  const bool keep = mode != run::Mode::quick && !run::source_folder().empty();
  const auto markdown = (keep ? run::source_folder() / "docs" : context.folder().path()) / "scoreboard.md";
  const auto html = context.folder().report();
  run::write_scoreboard(rows, markdown, html);
  context.line("scoreboard: {} and {}", markdown.string(), html.string());
  context.result({{"methods", documents}, {"scoreboard", markdown.string()}, {"report", html.string()}});
  if (!failed.empty()) throw WorkError("these experiments failed: {}; their messages are above", failed);
}

void reproduce(const ReproduceOptions& options, run::Context& context) {
  if (options.all) return reproduce_all(mode_of(options), context);
  context.result(reproduce_method(reproducible(*options.method), mode_of(options), context));
}

run::OptionTable<ReproduceOptions> reproduce_options() {
  return run::OptionTable<ReproduceOptions>()
      .text("METHOD", &ReproduceOptions::method, "whose experiment to run; tessera list names them")
      .optional()
      .group(run::Group::input)
      .flag("all", &ReproduceOptions::all, "every method; writes docs/scoreboard.md (--quick: in the run's folder) and an HTML scoreboard")
      .flag("quick", &ReproduceOptions::quick, "under 20 s: check that everything works, judge nothing")
      .flag("full", &ReproduceOptions::full, "up to an hour: the claims that need more work too")
      .check(check_reproduce)
      .example("tessera reproduce shortgpt", "measure, judge every claim, write the report; exit code 3 when one is not held")
      .example("tessera reproduce shortgpt --quick --json", "only check that it works, for a script")
      .example("tessera reproduce --all --full", "every method, everything; writes the scoreboard");
}

}  // namespace

run::Command reproduce_command() {
  return run::command("reproduce", "repeat a paper's experiment and judge its claims", reproduce_options, reproduce);
}

}  // namespace tessera::app
