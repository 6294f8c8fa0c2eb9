#include "tessera/app/train_setup.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/save.h"
#include "tessera/run/installed.h"
#include "tessera/train/checkpoints.h"
#include "tessera/train/lora.h"
#include "tessera/train/model_shape.h"
#include "tessera/train/optim/registry.h"

namespace tessera::app {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

bool is_shape(const std::string& model) {
  const auto& shapes = train::model_shapes();
  return std::any_of(shapes.begin(), shapes.end(), [&](const auto& shape) { return shape.name == model; });
}

// A config.json, or a folder with one and no weights.
bool is_bare_config(const fs::path& path) {
  return path.extension() == ".json" || (fs::is_directory(path) && fs::exists(path / "config.json") &&
                                         !fs::exists(path / "model.safetensors") && !fs::exists(path / "model.safetensors.index.json"));
}

// The path of a model to continue from.
fs::path model_to_continue(const TrainCommand& options) {
  try {
    return run::find_model(options.model, "--model ");
  } catch (const InputError&) {
    std::string names;
    for (const auto& shape : train::model_shapes()) names += shape.name + ", ";
    throw InputError("--model {}: no such file or installed model, and no shape of that name; give {}a config.json or a model",
                     tessera::quoted(options.model), names);
  }
}

void remove_earlier_run(const fs::path& folder) {
  std::vector<fs::path> own;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-") || name == "latest" || name == "data" || name == "tokenizer" || name == "model")
      own.push_back(entry.path());
  }
  for (const auto& path : own) fs::remove_all(path, error);
}

void open_train_folder(const TrainCommand& options, run::Context& context, TrainSetup& setup) {
  const auto& settings = context.settings();
  const bool exists = !settings.out.empty() && fs::exists(settings.out / "recipe.toml");
  if (exists && !options.resume && !settings.force)
    throw InputError("--out {} holds a run already; go on with --resume {}, or give --force to replace it", settings.out.string(),
                     settings.out.string());
  if (options.resume && settings.out.empty()) throw InputError("--resume needs the run; give --resume RUN");
  if (exists && !options.resume) remove_earlier_run(settings.out);
  setup.folder = (options.resume ? context.resumed_folder() : context.folder()).path();
  train::Checkpoints checkpoints(setup.folder, options.keep);
  checkpoints.remove_torn();
  if (options.resume) setup.checkpoint = checkpoints.latest();
}

std::shared_ptr<const text::Tokenizer> load_shared(const fs::path& path) {
  return std::make_shared<const text::Tokenizer>(text::Tokenizer::load(path));
}

// Trains a tokenizer from the data, or takes the given one, into <run>/tokenizer: complete or not there at all.
void prepare_tokenizer(const TrainCommand& options, const std::vector<train::CorpusName>& corpora, run::Context& context,
                       TrainSetup& setup) {
  const fs::path folder = setup.folder / "tokenizer";
  if (!fs::exists(folder)) {
    AtomicFolder fresh(folder);
    if (!options.tokenizer.empty()) {
      const auto from = fs::is_directory(options.tokenizer) ? options.tokenizer : options.tokenizer.parent_path();
      lm::copy_tokenizer_files(from.empty() ? "." : from, Json::object(), fresh.folder());
    } else if (!is_fresh(options)) {
      const fs::path model = model_to_continue(options);
      lm::copy_tokenizer_files(model, Json::object(), fresh.folder());
    } else {
      Progress progress(context.progress(), "tokenizer", 0, "steps");
      uint64_t steps = 0;
      write_file(fresh.folder() / "tokenizer.json",
                 train::train_tokenizer(corpora, options.vocab, [&](std::string_view phase) { progress.update(++steps, phase); }) + "\n");
      const Json roles{{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"bos_token", train::kEndOfText},
                       {"eos_token", train::kEndOfText},
                       {"clean_up_tokenization_spaces", false}};
      write_file(fresh.folder() / "tokenizer_config.json", roles.dump(2) + "\n");
      write_file(fresh.folder() / "generation_config.json", Json{{"bos_token_id", 0}, {"eos_token_id", 0}}.dump(2) + "\n");
    }
    fresh.commit();
  }
  setup.tokenizer = load_shared(folder);
}

// The caches of a corpus, made when they are not there. A killed run leaves either both or makes them again: the held-out one is first.
void prepare_corpus(const train::CorpusName& corpus, double held_out, run::Context& context, TrainSetup& setup, const std::string& prefix) {
  const fs::path data = setup.folder / "data";
  fs::create_directories(data);
  const fs::path path = data / (prefix + corpus.name + ".safetensors"), held = data / (prefix + corpus.name + ".held-out.safetensors");
  if (fs::exists(path) && (held_out == 0.0 || fs::exists(held))) return;
  Progress progress(context.progress(), "tokenise " + corpus.name, 0, "bytes");
  train::tokenise(corpus, *setup.tokenizer,
                  {.held_out = held_out, .path = path, .held_out_path = held, .progress = [&](uint64_t bytes) { progress.update(bytes); }});
}

void prepare_data(const TrainCommand& options, const std::vector<train::CorpusName>& corpora, const std::vector<train::CorpusName>& eval,
                  run::Context& context, TrainSetup& setup) {
  const double held_out = eval.empty() ? options.held_out : 0.0;
  const fs::path data = setup.folder / "data";
  for (const auto& corpus : corpora) {
    prepare_corpus(corpus, held_out, context, setup, "");
    setup.corpora.push_back({corpus.name, train::TokenCache::open(data / (corpus.name + ".safetensors"))});
    if (held_out > 0.0) setup.held_out.push_back(train::TokenCache::open(data / (corpus.name + ".held-out.safetensors")));
  }
  for (const auto& corpus : eval) {
    prepare_corpus(corpus, 0.0, context, setup, "eval-");
    setup.held_out.push_back(train::TokenCache::open(data / ("eval-" + corpus.name + ".safetensors")));
  }
  std::erase_if(setup.held_out, [](const auto& cache) { return cache.tokens() < 2; });
}

void prepare_model(const TrainCommand& options, run::Context& context, TrainSetup& setup, int64_t positions, torch::Device device) {
  const auto dtype = train_dtype(context.settings().dtype);
  setup.fresh = is_fresh(options);
  if (setup.checkpoint || !setup.fresh) {
    const fs::path from = setup.checkpoint ? *setup.checkpoint : model_to_continue(options);
    lm::LoadOptions load{
        .dtype = dtype == torch::kBFloat16 ? lm::DtypeChoice::bf16 : lm::DtypeChoice::fp32, .device = device, .tokenizer = false};
    if (setup.checkpoint) {  // as it was: `auto` may decide otherwise today
      const auto stored = lm::read_config(from / "config.json").raw;
      const std::string name = stored.value("torch_dtype", stored.value("dtype", std::string("float32")));
      load.dtype = name == "bfloat16" ? lm::DtypeChoice::bf16 : lm::DtypeChoice::fp32;
    }
    setup.model = lm::load_model(from.string(), load).model;
  } else {
    const auto config = train::fresh_model_config(
        options.model, {.vocab = setup.tokenizer->size(), .positions = positions, .eos = setup.tokenizer->eos_id()});
    setup.model = lm::Transformer(config);
    lm::init_weights(setup.model, context.settings().seed);
    setup.model->to(device, dtype);
    setup.model->fuse();
  }
  for (auto& parameter : setup.model->parameters()) parameter.set_requires_grad(true);
  setup.model->train();
  if (setup.tokenizer->size() > setup.model->config().vocab)
    throw InputError("the tokenizer has {} pieces, and the model {} rows for them; give the model's own tokenizer", setup.tokenizer->size(),
                     setup.model->config().vocab);
}

void prepare_adapters(const TrainCommand& options, run::Context& context, TrainSetup& setup) {
  setup.adapters = train::filled_adapters(options, setup.model->config(), train::steps_of(setup.language), setup.fresh);
  if (!options.merge && !train::is_plain_lora(setup.adapters))
    throw InputError("--no-merge: the adapter is not all that is trained of a fresh model; leave it out, or give --lora-rest frozen");
  train::adapt(setup.model, setup.adapters, context.settings().seed);
}

int64_t longest_row(const TrainCommand& options, const std::vector<train::CorpusName>& corpora) {
  std::vector<std::string> names;
  names.reserve(corpora.size());
  for (const auto& corpus : corpora) names.push_back(corpus.name);
  int64_t longest = 0;
  for (const auto& stage : stages_of(options, names)) longest = std::max(longest, stage.length);
  return longest;
}

}  // namespace

bool is_fresh(const TrainCommand& options) { return is_shape(options.model) || is_bare_config(options.model); }

torch::Dtype train_dtype(run::Dtype dtype) {
  if (dtype == run::Dtype::automatic) return lm::cpu_dtype(lm::cpu_facts()).dtype;
  return dtype == run::Dtype::bf16 ? torch::kBFloat16 : torch::kFloat32;
}

train::LanguageOptions language_options(const TrainCommand& options, const std::vector<train::CorpusName>& corpora,
                                        const std::vector<int64_t>& tokens) {
  std::vector<std::string> names;
  std::vector<double> weights;
  const bool weighed = std::any_of(corpora.begin(), corpora.end(), [](const auto& corpus) { return corpus.weight > 0.0; });
  for (const auto& corpus : corpora) {
    names.push_back(corpus.name);
    if (weighed) weights.push_back(corpus.weight > 0.0 ? corpus.weight : 1.0);
  }
  int64_t all = 0;
  for (const int64_t each : tokens) all += each;
  train::LanguageOptions language{.stages = stages_of(options, names),
                                  .batch = options.batch,
                                  .micro = options.micro,
                                  .mask_documents = options.mask_documents,
                                  .recompute = options.recompute,
                                  .z_loss = options.z_loss,
                                  .weight_decay = options.weight_decay,
                                  .eval_rows = 16};
  for (auto& stage : language.stages) {
    if (stage.tokens == 0) stage.tokens = tokens.empty() ? options.batch : std::max<int64_t>(3 * all, options.batch);
    if (stage.weights.empty()) stage.weights = weights;
  }
  return language;
}

train::TrainerOptions trainer_options(const TrainCommand& options, const TrainSetup& setup, int64_t tokens) {
  const double parameters = static_cast<double>(lm::parameter_count(setup.model->config()));
  const double tuning = options.weights == train::Weights::full ? 5e-5 : 2e-4;
  const double usual = !setup.fresh ? tuning : parameters < 3e6 ? 4e-3 : parameters < 2e7 ? 2e-3 : parameters < 8e7 ? 1e-3 : 6e-4;
  const double peak = options.lr.value_or(usual), all = static_cast<double>(tokens);
  train::TrainerOptions how{
      .optimizer = [rule = static_cast<const train::OptimOptions&>(options)](
                       std::vector<train::Parameter> parameters) { return train::make_optimizer(rule, std::move(parameters)); },
      .schedule = {.decay = options.schedule,
                   .peak = peak,
                   .lowest = peak * options.min_lr,
                   .warmup = static_cast<int64_t>(options.warmup * all),
                   .total = tokens,
                   .cooldown = static_cast<int64_t>(std::min(options.cooldown, 1.0 - options.warmup) * all)},
      .clip = options.clip,
      .ema = options.ema,
      .per_layer = options.per_layer,
      .accumulate_low_rank = options.accumulate == Accumulate::low_rank,
      .masters = options.masters};
  how.schedule.pieces = pieces_of(options, tokens);
  train::add_restarts(how.schedule, setup.adapters, options.batch);
  return how;
}

lm::ModelConfig planned_config(const TrainCommand& options) {
  if (!is_fresh(options)) {
    const fs::path model = model_to_continue(options);
    return lm::load_model(model.string(), {.dtype = lm::DtypeChoice::bf16, .tokenizer = false}).config();
  }
  int64_t vocab = options.vocab;
  if (!options.tokenizer.empty()) vocab = text::Tokenizer::load(options.tokenizer).size();
  const auto corpora = train::parse_corpora(options.data, options.resume);
  return train::fresh_model_config(options.model, {.vocab = vocab, .positions = std::max<int64_t>(1024, longest_row(options, corpora))});
}

train::TrainPlan plan_of(const TrainCommand& options, lm::Transformer model, const train::LanguageOptions& language) {
  auto inputs = train::count_trained(train::language_parameters(model, options.weight_decay), train::lora_parameters(*model), options,
                                     {.average = options.ema > 0.0,
                                      .masters = options.masters,
                                      .per_layer = options.per_layer,
                                      .accumulate_low_rank = options.accumulate == Accumulate::low_rank});
  inputs.element = model->dtype() == torch::kBFloat16 ? 2 : 4;
  return train::plan_training(model->config(), language, inputs);
}

// Every corpus can be read and has a text.
static void check_texts(const std::vector<train::CorpusName>& corpora) {
  for (const auto& corpus : corpora) {
    bool found = false;
    train::for_each_text(corpus, [&](std::string&&) {
      found = true;
      return false;
    });
    if (!found) throw InputError("--data {}: there is no text in it; give files with some text", tessera::quoted(corpus.given));
  }
}

TrainSetup set_up_training(const TrainCommand& options, run::Context& context, torch::Device device, bool writes) {
  const auto corpora = train::parse_corpora(options.data, options.resume), eval = train::parse_corpora(options.eval, options.resume);
  (void)language_options(options, corpora, {});  // stages are checked before anything is written
  if (is_fresh(options)) {
    (void)planned_config(options);
  } else if (!options.resume) {
    (void)model_to_continue(options);
  }
  TrainSetup setup;
  if (writes) {
    if (!options.resume) check_texts(corpora);
    open_train_folder(options, context, setup);
  } else {
    setup.folder = context.settings().out;
    if (options.resume) setup.checkpoint = train::Checkpoints(setup.folder, options.keep).latest();
  }
  prepare_tokenizer(options, corpora, context, setup);
  prepare_data(options, corpora, eval, context, setup);
  const int64_t longest = longest_row(options, corpora);
  prepare_model(options, context, setup, std::max<int64_t>(1024, longest), device);
  std::vector<int64_t> tokens;
  for (const auto& corpus : setup.corpora) tokens.push_back(corpus.cache.tokens());
  setup.language = language_options(options, corpora, tokens);
  train::check_stages(setup.language, setup.model->config());
  prepare_adapters(options, context, setup);
  return setup;
}

}  // namespace tessera::app
