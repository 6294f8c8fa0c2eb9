// tessera danube quality: trains a filter on labelled texts, or scores a corpus with one and keeps what passes.

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/data/records.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/quality_filter.h"

namespace tessera::danube {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct QualityCommand {
  std::optional<fs::path> train, score, filter;
  std::optional<fs::path> out;
  std::string text = "text", label = "label";
  double min = 0.5, held_out = 0.2;
  int64_t rounds = 200, depth = 4, order = 5;
};

void check_quality(const QualityCommand& options) {
  if (options.train.has_value() == options.score.has_value())
    throw InputError("give either --train LABELLED with --out FILTER, or --score CORPUS with --filter FILTER");
  if (options.train && !options.out)
    throw InputError("--train {} needs a place for the filter; give --out FILTER", options.train->string());
  if (options.score && !options.filter)
    throw InputError("--score {} needs a filter; give --filter FILTER, a folder that --train wrote", options.score->string());
}

// 1, true, "good" and "1" are good; 0, false, "bad" and "0" are not.
bool is_good(const data::Row& row, const std::string& name) {
  const auto* value = row.find(name);
  if (value == nullptr) throw InputError("{}: no field {}; name the label's with --label", row.where, tessera::quoted(name));
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  if (const auto* number = std::get_if<int64_t>(value); number != nullptr && (*number == 0 || *number == 1)) return *number == 1;
  if (const auto* word = std::get_if<std::string>(value)) {
    if (*word == "1" || *word == "good" || *word == "true") return true;
    if (*word == "0" || *word == "bad" || *word == "false") return false;
  }
  throw InputError("{}: the label is neither 1 (good) nor 0 (bad)", row.where);
}

// Area under the ROC curve: how often a good text scores above another one.
double area(const std::vector<double>& good, const std::vector<double>& others) {
  double wins = 0.0;
  for (const double g : good)
    for (const double b : others) wins += g > b ? 1.0 : g == b ? 0.5 : 0.0;
  return good.empty() || others.empty() ? std::nan("") : wins / static_cast<double>(good.size() * others.size());
}

void train_filter(const QualityCommand& options, run::Context& context) {
  std::vector<LabelledText> texts, held;
  const auto records = data::open_records(*options.train);
  data::Row row;
  const int64_t every = options.held_out > 0.0 ? std::max<int64_t>(2, std::llround(1.0 / options.held_out)) : 0;
  for (int64_t i = 0; records->next(row); ++i) {
    throw_if_interrupted();
    (every > 0 && i % every == every - 1 ? held : texts).push_back({row.text(options.text), is_good(row, options.label)});
  }
  const auto filter = QualityFilter::train(texts, {.order = static_cast<int>(options.order),
                                                   .trees = {.rounds = options.rounds, .depth = options.depth},
                                                   .seed = context.settings().seed});
  std::vector<double> good, others;
  for (const auto& each : held) (each.good ? good : others).push_back(filter.score(each.text));
  AtomicFolder folder(*options.out, context.settings().force);
  filter.save(folder.folder());
  folder.commit();
  const double auc = area(good, others);
  context.line("{} texts, {} held out: area under the ROC curve {:.3f}", texts.size(), held.size(), auc);
  auto importance = Json::array();
  for (const auto& [name, share] : filter.importance()) {
    if (share >= 0.01) context.line("  {:<22} {:5.1f} % of the gain", name, 100.0 * share);
    importance.push_back({{"feature", name}, {"share", share}});
  }
  context.line("filter: {}    tessera danube quality --score CORPUS --filter {}", options.out->string(), options.out->string());
  context.result({{"filter", options.out->string()},
                  {"texts", texts.size()},
                  {"held_out", held.size()},
                  {"auc", std::isnan(auc) ? Json() : Json(auc)},
                  {"importance", importance}});
}

// Every text with its score as a line of jsonl, to `out` where it passes.
void score_corpus(const QualityCommand& options, run::Context& context) {
  const auto filter = QualityFilter::load(*options.filter);
  const auto records = data::open_records(*options.score);
  std::optional<AtomicFile> kept;
  if (options.out) kept.emplace(*options.out);
  data::Row row;
  int64_t texts = 0, passed = 0;
  double sum = 0.0;
  Progress progress(context.progress(), "scoring", 0, "texts");
  while (records->next(row)) {
    throw_if_interrupted();
    const auto& text = row.text(options.text);
    const double score = filter.score(text);
    sum += score;
    ++texts;
    const bool good = score >= options.min;
    passed += good ? 1 : 0;
    if (!kept && !context.settings().json) context.line("{:.4f}  {}", score, row.where);
    if (kept && good) kept->write(Json{{"text", text}, {"quality", score}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    progress.update(static_cast<uint64_t>(texts));
  }
  if (texts == 0) throw InputError("{}: no text; give a file or folder with texts", options.score->string());
  if (kept) kept->commit();
  context.line("{} of {} texts score at least {}; mean {:.3f}", passed, texts, options.min, sum / static_cast<double>(texts));
  context.result({{"texts", texts},
                  {"passed", passed},
                  {"min", options.min},
                  {"mean", sum / static_cast<double>(texts)},
                  {"out", options.out ? Json(options.out->string()) : Json()}});
}

void quality(const QualityCommand& options, run::Context& context) {
  if (options.train) return train_filter(options, context);
  score_corpus(options, context);
}

run::OptionTable<QualityCommand> quality_options() {
  return run::OptionTable<QualityCommand>()
      .input("train", &QualityCommand::train, "labelled texts to learn from: jsonl, csv or Parquet with text and label (1 good, 0 not)")
      .input("score", &QualityCommand::score, "texts to score: a file or folder (txt, md, jsonl, csv, Parquet)")
      .input("filter", &QualityCommand::filter, "the folder that --train wrote")
      .group(run::Group::model)
      .text("text", &QualityCommand::text, "the field with the text")
      .text("label", &QualityCommand::label, "the field with the label")
      .number("min", &QualityCommand::min, run::Range{0, 1}, "score a text needs to pass")
      .number("held-out", &QualityCommand::held_out, run::Range{0, 0.5}, "share of the labelled texts that only judges the filter")
      .number("rounds", &QualityCommand::rounds, run::Range{1, 10000}, "boosted trees")
      .number("depth", &QualityCommand::depth, run::Range{1, 12}, "splits from a tree's root to its leaves")
      .number("order", &QualityCommand::order, run::Range{1, 7}, "bytes of an n-gram")
      .output("out", &QualityCommand::out, "with --train the filter's folder; with --score the texts that pass, jsonl")
      .example("tessera danube quality --train labelled.jsonl --out filter/", "learn what is good text")
      .example("tessera danube quality --score crawl.jsonl --filter filter/ --min 0.7 --out kept.jsonl", "keep what passes")
      .example("tessera danube quality --score my-texts/ --filter filter/", "a score a text")
      .check(check_quality);
}

}  // namespace

run::Command quality_command() {
  return run::command("quality", "train a filter of text quality, or score a corpus with one", quality_options, quality);
}

}  // namespace tessera::danube
