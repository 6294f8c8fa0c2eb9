#include "tessera/app/train_options.h"

#include <charconv>
#include <cmath>

#include "tessera/base/error.h"
#include "tessera/train/adapter_rows.h"
#include "tessera/train/model_shape.h"
#include "tessera/train/optim_rows.h"

namespace tessera::app {

namespace fs = std::filesystem;

namespace {

using train::Decay;

std::string model_help() {
  std::string help = "what is trained: a fresh ";
  for (const auto& shape : train::model_shapes()) help += fmt::format("{} ({} wide, {} layers), ", shape.name, shape.width, shape.layers);
  return help + "a config.json, or a model to continue from";
}

// "70M" -> 70'000'000; nothing when it is no number.
std::optional<int64_t> read_count(const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value > 0.0)) return std::nullopt;
  const std::string unit(end, text.data() + text.size());
  const double factor = unit.empty() ? 1 : unit == "k" ? 1e3 : unit == "M" ? 1e6 : unit == "G" || unit == "B" ? 1e9 : 0;
  const double count = value * factor;
  if (factor == 0 || count > 9e15 || count < 1) return std::nullopt;
  return static_cast<int64_t>(std::llround(count));
}

std::optional<double> read_real(const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

void check_pieces(const TrainCommand& options) {
  const bool piecewise = options.schedule == Decay::piecewise;
  if (piecewise == options.pieces.empty())
    throw InputError("{}", piecewise ? "--schedule piecewise needs --pieces FROM=FACTOR,..., such as 0.8=0.316,0.9=0.1"
                                     : "--pieces belong to --schedule piecewise; give it, too");
  constexpr int64_t run = int64_t{1} << 50;  // shares and counts of it ascend alike
  int64_t last = -1;
  for (const auto& [from, factor] : pieces_of(options, run)) {
    if (from <= last) throw InputError("--pieces begin at ascending places; one of them lies before the one in front of it");
    last = from;
  }
}

void check_train(const TrainCommand& options) {
  if (options.data.empty()) throw InputError("--data is missing; give --data FOLDER, a file, or a source's name");
  if (options.per_layer && options.clip > 0.0)
    throw InputError("--per-layer cannot clip: the global norm needs every gradient first; give --clip 0");
  if (options.lr && options.min_lr > 1.0) throw InputError("--min-lr {}: a share of the rate; give 0 to 1", options.min_lr);
  train::check_optim_options(options);
  train::check_adapters(options);
  check_pieces(options);
  if (options.accumulate == Accumulate::low_rank && (!options.per_layer || !options.name.starts_with("galore")))
    throw InputError(
        "--accum lowrank adds up gradients in GaLore's subspaces; give --optim galore-adamw (or another galore) and --per-layer");
  if (!options.merge && options.weights != train::Weights::lora)
    throw InputError("--no-merge leaves an adapter beside its model, which needs --weights lora; leave it out");
  if (options.ema > 0.0 && options.weights == train::Weights::relora)
    throw InputError("--ema averages factors, and relora begins them anew at every restart; give --ema 0");
}

[[noreturn]] void refuse_stage(const std::string& stage, const std::string& why) {
  throw InputError("--stages {}: {}; give TOKENS@LENGTH, or TOKENS@LENGTH:CORPUS=SHARE+CORPUS=SHARE, such as 70M@128",
                   tessera::quoted(stage), why);
}

std::vector<double> read_mix(const std::string& stage, std::string mix, const std::vector<std::string>& corpora) {
  std::vector<double> weights(corpora.size(), 0.0);
  while (!mix.empty()) {
    const auto plus = mix.find('+');
    const std::string part = mix.substr(0, plus);
    mix = plus == std::string::npos ? "" : mix.substr(plus + 1);
    const auto equals = part.find('=');
    const std::string name = part.substr(0, equals), share = equals == std::string::npos ? "1" : part.substr(equals + 1);
    const auto place = std::find(corpora.begin(), corpora.end(), name);
    if (place == corpora.end()) refuse_stage(stage, fmt::format("{} is no corpus of this run", tessera::quoted(name)));
    double value = 0.0;
    const auto [end, error] = std::from_chars(share.data(), share.data() + share.size(), value);
    if (error != std::errc() || end != share.data() + share.size() || !(value > 0.0)) refuse_stage(stage, "a share is no positive number");
    weights[static_cast<size_t>(place - corpora.begin())] = value;
  }
  return weights;
}

train::Stage read_stage(const std::string& text, const std::vector<std::string>& corpora) {
  const auto at = text.find('@'), colon = text.find(':');
  if (at == std::string::npos || (colon != std::string::npos && colon < at)) refuse_stage(text, "it has no @");
  const auto tokens = read_count(text.substr(0, at));
  const auto length = read_count(text.substr(at + 1, colon == std::string::npos ? colon : colon - at - 1));
  if (!tokens) refuse_stage(text, "its tokens are no number of 1 or more");
  if (!length) refuse_stage(text, "its length is no number of 1 or more");
  return {*tokens, *length, colon == std::string::npos ? std::vector<double>{} : read_mix(text, text.substr(colon + 1), corpora)};
}

}  // namespace

std::vector<std::pair<int64_t, double>> pieces_of(const TrainCommand& options, int64_t tokens) {
  std::vector<std::pair<int64_t, double>> pieces;
  for (const auto& text : options.pieces) {
    const auto equals = text.find('=');
    const auto share = read_real(text.substr(0, equals));
    const auto count = read_count(text.substr(0, equals));
    const auto factor = equals == std::string::npos ? std::nullopt : read_real(text.substr(equals + 1));
    const bool is_share = share && *share >= 0.0 && *share < 1.0;
    if (!factor || *factor < 0.0 || (!is_share && !count))
      throw InputError("--pieces {}: give FROM=FACTOR, FROM a share below 1 or a number of tokens, such as 0.8=0.1 or 70M=0.1",
                       tessera::quoted(text));
    pieces.emplace_back(is_share ? static_cast<int64_t>(*share * static_cast<double>(tokens)) : *count, *factor);
  }
  return pieces;
}

std::vector<train::Stage> stages_of(const TrainCommand& options, const std::vector<std::string>& corpora) {
  std::vector<train::Stage> stages;
  for (const auto& text : options.stages) stages.push_back(read_stage(text, corpora));
  if (stages.empty()) stages.push_back({options.tokens, options.length, {}});
  return stages;
}

void unfold_train(std::vector<std::string>& words) {
  if (words.size() > 1 && words[1].ends_with(".toml") && fs::is_regular_file(words[1])) words.insert(words.begin() + 1, "--recipe");
  const auto resume = std::find(words.begin() + 1, words.end(), "--resume");
  if (resume == words.end() || resume + 1 == words.end() || (resume + 1)->starts_with("-")) return;
  const fs::path run = *(resume + 1);
  if (!fs::is_regular_file(run / "recipe.toml"))
    throw InputError("--resume {}: no run lies there (recipe.toml is missing); give the folder of a run of train",
                     tessera::quoted(run.string()));
  *(resume + 1) = "--recipe";
  words.insert(resume + 2, {(run / "recipe.toml").string(), "--out", run.string()});
}

namespace {

using Table = run::OptionTable<TrainCommand>;
using Command = TrainCommand;

void add_data_options(Table& table) {
  table.list("data", &Command::data, "texts: folders, files (txt, md, jsonl, csv, Parquet), or sources such as anarchism; NAME=2 weighs")
      .group(run::Group::input)
      .list("eval", &Command::eval, "texts for the evaluation instead of held-out parts of the data")
      .group(run::Group::input)
      .number("held-out", &Command::held_out, run::Range{0, 0.5}, "share of the data kept for the evaluation")
      .group(run::Group::input)
      .text("model", &Command::model, model_help())
      .short_name('m')
      .group(run::Group::model)
      .input("tokenizer", &Command::tokenizer, "tokenizer.json or a model's folder; left out: the model's, else trained from the data")
      .group(run::Group::model)
      .number("vocab", &Command::vocab, run::Range{257, 1e6}, "pieces of a tokenizer trained from the data")
      .group(run::Group::model);
}

void add_budget_options(Table& table) {
  table.number("tokens", &Command::tokens, run::Range{0}, "tokens to train on; 0: three passes over the data")
      .number("length", &Command::length, run::Range{2, 1e7}, "length of a row")
      .unit("tokens")
      .number("batch", &Command::batch, run::Range{2, 1e9}, "tokens of an optimizer step")
      .number("micro", &Command::micro, run::Range{0, 1e6}, "rows of one forward pass, less memory; 0: all of a step")
      .list("stages", &Command::stages, "instead of tokens and length: TOKENS@LENGTH[:CORPUS=SHARE+..] one after another")
      .choice("packing", &Command::packing,
              {{"concatenate", train::Packing::concatenate, "text after text without a gap"},
               {"whole", train::Packing::whole, "as many whole texts as fit, then padding"},
               {"single", train::Packing::single, "one text a row, then padding"}},
              "how texts fill rows")
      .flag("mask-documents", &Command::mask_documents, "attention and positions stay within a document")
      .flag("recompute", &Command::recompute, "keep only each block's input for the backward pass: less memory, a third more work")
      .flag("per-layer", &Command::per_layer, "move each weight during the backward pass and drop its gradient; needs --clip 0")
      .flag("masters", &Command::masters, "keep float32 copies of bf16 weights; --no-masters: less memory, small updates are lost")
      .choice("accum", &Command::accumulate,
              {{"full", Accumulate::full, "as they are"},
               {"lowrank", Accumulate::low_rank, "in the optimizer's subspaces: --per-layer with several micro-batches"}},
              "galore: where the gradients of micro-batches add up");
}

void add_rate_options(Table& table) {
  table.number("lr", &Command::lr, run::Range{0}, "peak learning rate; left out: by the model's size")
      .number("min-lr", &Command::min_lr, run::Range{0, 1}, "the lowest rate, as a share of the peak")
      .choice("schedule", &Command::schedule,
              {{"cosine", Decay::cosine, "half a cosine to the lowest rate"},
               {"linear", Decay::linear, "a straight line"},
               {"wsd", Decay::wsd, "the peak, then a straight line over the last --cooldown"},
               {"constant", Decay::constant, "the peak"},
               {"piecewise", Decay::piecewise, "the peak times the factors of --pieces"}},
              "how the rate falls after the warm-up")
      .list("pieces", &Command::pieces, "piecewise: FROM=FACTOR one after another, FROM a share of the run or tokens: 0.8=0.316,0.9=0.1")
      .number("warmup", &Command::warmup, run::Range{0, 1}, "share of the tokens over which the rate rises")
      .number("cooldown", &Command::cooldown, run::Range{0, 1}, "share of the tokens of wsd's fall")
      .number("clip", &Command::clip, run::Range{0}, "largest norm of the gradient; 0: any")
      .number("weight-decay", &Command::weight_decay, run::Range{0}, "of matrices, not of embeddings, head and norms")
      .number("z-loss", &Command::z_loss, run::Range{0, 1}, "adds this times the square of log Z to every token's loss (PaLM: 1e-4)")
      .number("ema", &Command::ema, run::Range{0, 0.999999}, "decay of a moving average of the weights, which becomes the model; 0: none");
}

void add_run_options(Table& table) {
  table.number("save-every", &Command::save_every, run::Range{0}, "steps between checkpoints; 0: ten a run, at most 200 steps apart")
      .group(run::Group::output)
      .number("eval-every", &Command::eval_every, run::Range{0}, "steps between evaluations; 0: twenty a run")
      .group(run::Group::output)
      .number("keep", &Command::keep, run::Range{0}, "checkpoints that stay; 0: all")
      .group(run::Group::output)
      .flag("merge", &Command::merge, "with --weights lora: write the model with its adapter added; --no-merge: the adapter alone")
      .group(run::Group::output)
      .flag("resume", &Command::resume, "continue the run in --out from its last checkpoint; --resume RUN takes its settings, too")
      .group(run::Group::run)
      .flag("dry-run", &Command::dry_run, "print parameters, memory, products and time, and stop")
      .group(run::Group::run);
}

}  // namespace

run::OptionTable<TrainCommand> train_options() {
  Table table;
  add_data_options(table);
  add_budget_options(table);
  train::add_optim_rows(table);
  train::add_adapter_rows(table);
  add_rate_options(table);
  add_run_options(table);
  return table.check(check_train)
      .example("tessera train --data my-texts/ --out runs/my", "a small model and its tokenizer from a folder of text files")
      .example("tessera train --resume runs/my", "go on after Ctrl-C, a crash or a power cut")
      .example("tessera train --data notes/ --model smollm2 --weights lora --out runs/lora",
               "an adapter in PEFT's layout, and the merged model")
      .example("tessera train --data anarchism,debian-handbook --model tiny --tokens 2000000 --dry-run", "what it would take");
}

}  // namespace tessera::app
