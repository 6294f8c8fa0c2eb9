// tessera galore spectrum: gradient spectra of a model on a person's text.

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/lm/load.h"
#include "tessera/methods/galore/commands.h"
#include "tessera/methods/galore/spectrum.h"
#include "tessera/run/report.h"
#include "tessera/run/run_folder.h"
#include "tessera/text/tokenizer.h"
#include "tessera/train/corpus.h"
#include "tessera/train/language.h"

namespace tessera::galore {
namespace {

namespace fs = std::filesystem;

struct SpectrumCommand {
  std::string checkpoint;
  fs::path data;
  int64_t rank = 128, batch = 4, seq = 128;
};

run::OptionTable<SpectrumCommand> spectrum_options() {
  return run::OptionTable<SpectrumCommand>()
      .model("CHECKPOINT", &SpectrumCommand::checkpoint, "model folder, .gguf, or an installed model's name")
      .input("data", &SpectrumCommand::data, "text whose gradients are taken")
      .required()
      .number("rank", &SpectrumCommand::rank, run::Range{1, 1 << 20}, "of the subspace")
      .number("batch", &SpectrumCommand::batch, run::Range{1, 4096}, "rows of a gradient")
      .number("seq", &SpectrumCommand::seq, run::Range{2, 1 << 16}, "tokens of a row")
      .example("tessera galore spectrum smollm2 --data book.txt", "at rank 128")
      .example("tessera galore spectrum smollm2 --data book.txt --rank 16 --batch 16", "a smaller subspace, a steadier gradient")
      .example("tessera galore spectrum model/ --data book.txt --json", "for a script");
}

std::vector<int32_t> tokens_of(const fs::path& path, const text::Tokenizer& tokenizer, size_t wanted) {
  std::vector<int32_t> ids;
  train::for_each_text({.name = "data", .given = path.string()}, [&](std::string&& text) {
    for (const auto id : tokenizer.encode_ids(text)) ids.push_back(static_cast<int32_t>(id));
    return ids.size() < wanted;
  });
  if (ids.size() < wanted) {
    throw InputError("--data {} has {} tokens and two batches take {}; give more text, or a smaller --batch or --seq", path.string(),
                     ids.size(), wanted);
  }
  return ids;
}

// Gradients of all matrices on one batch of text, by name.
std::vector<std::pair<std::string, torch::Tensor>> gradients_on(lm::Transformer& model, const int32_t* ids, int64_t batch, int64_t seq) {
  const auto rows = torch::from_blob(const_cast<int32_t*>(ids), {batch, seq + 1}, torch::kInt32).to(torch::kInt64);
  const train::LanguageRows given{rows.narrow(1, 0, seq).contiguous(), rows.narrow(1, 1, seq).contiguous(), {}};
  model->zero_grad();
  (train::language_loss(model, given, false) / static_cast<double>(batch * seq)).backward();
  std::vector<std::pair<std::string, torch::Tensor>> all;
  for (const auto& parameter : train::language_parameters(model, 0.0)) {
    if (parameter.matrix) all.emplace_back(parameter.name, parameter.value.grad().clone());
  }
  return all;
}

run::LinePlot spectrum_plot(const std::vector<Spectrum>& all) {
  run::LinePlot plot{.title = "Singular values of gradients, relative to the largest",
                     .x = {.label = "index"},
                     .y = {.label = "singular value", .unit = {}, .log = true}};
  for (size_t i = 0; i < all.size(); i += std::max<size_t>(1, all.size() / 5)) {
    run::Line line{.name = all[i].name, .x = {}, .y = {}};
    for (size_t k = 0; k < all[i].values.size(); k += std::max<size_t>(1, all[i].values.size() / 100)) {
      line.x.push_back(static_cast<double>(k + 1));
      line.y.push_back(all[i].values[k] / all[i].values.front());
    }
    plot.lines.push_back(std::move(line));
  }
  return plot;
}

void write_results(const std::vector<Spectrum>& all, const SpectrumCommand& options, run::Context& context) {
  auto& folder = context.folder();
  std::string csv = "matrix,stable_rank,energy,overlap\n", values = "matrix,index,singular_value\n";
  run::Table table{.title = fmt::format("At rank {}", options.rank), .columns = {"matrix", "stable rank", "energy kept", "overlap"}};
  auto rows = nlohmann::ordered_json::array();
  for (const auto& each : all) {
    csv += fmt::format("{},{:.6g},{:.6g},{:.6g}\n", each.name, each.stable_rank, each.energy, each.overlap);
    for (size_t i = 0; i < each.values.size(); ++i) values += fmt::format("{},{},{:.9g}\n", each.name, i, each.values[i]);
    table.rows.push_back(
        {each.name, fmt::format("{:.2f}", each.stable_rank), fmt::format("{:.3f}", each.energy), fmt::format("{:.3f}", each.overlap)});
    rows.push_back({{"matrix", each.name}, {"stable_rank", each.stable_rank}, {"energy", each.energy}, {"overlap", each.overlap}});
    context.line("{:<44} stable rank {:>8.2f}  energy {:.3f}  overlap {:.3f}", each.name, each.stable_rank, each.energy, each.overlap);
  }
  write_file(folder.artifact("spectrum.csv"), csv);
  write_file(folder.artifact("singular_values.csv"), values);
  run::Report report(folder.path(), {.method = "galore",
                                     .title = "Gradient spectra of " + options.checkpoint,
                                     .paper = "arXiv:2403.03507",
                                     .what = "Singular values of each matrix's gradient, the energy that a subspace keeps, and how far two "
                                             "batches agree on it."});
  report.heading("Spectra");
  report.plot(spectrum_plot(all));
  report.table(table);
  const auto page = report.write();
  context.line("report: {}", page.string());
  context.result({{"checkpoint", options.checkpoint}, {"rank", options.rank}, {"matrices", rows}});
}

void spectrum(const SpectrumCommand& options, run::Context& context) {
  auto loaded = lm::load_model(options.checkpoint, {.dtype = lm::DtypeChoice::fp32});
  if (!loaded.tokenizer) throw InputError("{} has no tokenizer to read --data with; {}", options.checkpoint, loaded.tokenizer_problem);
  const auto each = static_cast<size_t>(options.batch * (options.seq + 1));
  const auto ids = tokens_of(options.data, *loaded.tokenizer, 2 * each);
  for (auto& parameter : loaded.model->parameters()) parameter.requires_grad_(true);
  const auto first = gradients_on(loaded.model, ids.data(), options.batch, options.seq);
  const auto second = gradients_on(loaded.model, ids.data() + each, options.batch, options.seq);
  std::vector<Spectrum> all;
  Progress progress(context.progress(), "spectra", first.size(), "matrices");
  for (size_t i = 0; i < first.size(); ++i) {
    throw_if_interrupted();
    all.push_back(gradient_spectrum(first[i].first, first[i].second, second[i].second, options.rank));
    progress.update(i + 1);
  }
  write_results(all, options, context);
}

}  // namespace

run::Command spectrum_command() {
  return run::command("spectrum", "how low-rank a model's gradients are, and how their subspace turns", spectrum_options, spectrum);
}

}  // namespace tessera::galore
