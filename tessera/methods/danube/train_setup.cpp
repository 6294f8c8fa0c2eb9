#include "tessera/methods/danube/train_setup.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/load.h"
#include "tessera/lm/save.h"
#include "tessera/methods/danube/layout.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/run/installed.h"
#include "tessera/train/model_shape.h"

namespace tessera::danube {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

// A model in words: a shape, a public checkpoint's sizes, or a model to continue from.
bool is_fresh(const TrainConfig& config) {
  if (config.model.is_object()) return true;
  const auto name = config.model.get<std::string>();
  const auto& shapes = train::model_shapes();
  return !public_config(name).is_null() ||
         std::any_of(shapes.begin(), shapes.end(), [&](const auto& shape) { return shape.name == name; }) || name.ends_with(".json");
}

// What a fresh model needs to know of its tokenizer.
struct Vocabulary {
  int64_t size = 0;
  std::optional<int64_t> bos = {}, eos = {};
};

lm::ModelConfig fresh_config(const TrainConfig& config, const Vocabulary& vocabulary, int64_t longest) {
  const int64_t positions = std::max<int64_t>(1024, longest);
  Json keys = config.model;
  if (keys.is_string()) {
    keys = public_config(config.model.get<std::string>());
    if (keys.is_null())
      return train::fresh_model_config(config.model.get<std::string>(),
                                       {.vocab = vocabulary.size, .positions = positions, .eos = vocabulary.eos});
  }
  Json all = {{"model_type", "mistral"}, {"rms_norm_eps", 1e-5},         {"initializer_range", 0.02},
              {"rope_theta", 10000.0},   {"tie_word_embeddings", false}, {"max_position_embeddings", positions}};
  for (const auto& [key, value] : keys.items()) all[key] = value;
  all["vocab_size"] = vocabulary.size;
  if (vocabulary.eos) all["eos_token_id"] = *vocabulary.eos;
  if (vocabulary.bos) all["bos_token_id"] = *vocabulary.bos;
  return lm::fresh_config(all);
}

}  // namespace

void check_model(const TrainConfig& config, const train::LanguageOptions& language, int64_t longest) {
  if (is_fresh(config)) return train::check_stages(language, fresh_config(config, {.size = config.vocab}, longest));
  (void)run::find_model(config.model.get<std::string>(), "model ");
}

text::Tokenizer prepare_tokenizer(const TrainConfig& config, const std::vector<train::CorpusName>& corpora, const fs::path& run,
                                  const std::function<void(const std::string&)>& note) {
  const fs::path folder = run / "tokenizer";
  if (!fs::exists(folder)) {
    AtomicFolder fresh(folder);
    auto given = config.tokenizer;
    if (given.empty() && !is_fresh(config)) given = run::find_model(config.model.get<std::string>(), "model ");
    if (!given.empty()) {
      const auto from = fs::is_directory(given) || given.extension() == ".gguf" ? given : given.parent_path();
      lm::copy_tokenizer_files(from.empty() ? fs::path(".") : from, Json::object(), fresh.folder());
    } else {
      note(fmt::format("training a vocabulary of {} pieces", config.vocab));
      write_file(fresh.folder() / "tokenizer.json", train::train_tokenizer(corpora, config.vocab) + "\n");
      const Json roles{{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"bos_token", train::kEndOfText},
                       {"eos_token", train::kEndOfText},
                       {"chat_template", kChatTemplate},
                       {"clean_up_tokenization_spaces", false}};
      write_file(fresh.folder() / "tokenizer_config.json", roles.dump(2) + "\n");
      write_file(fresh.folder() / "generation_config.json", Json{{"bos_token_id", 0}, {"eos_token_id", 0}}.dump(2) + "\n");
    }
    fresh.commit();
  }
  return text::Tokenizer::load(folder);
}

PreparedTokens prepare_data(const TrainConfig& config, const std::vector<train::CorpusName>& corpora, const text::Tokenizer& tokenizer,
                            const fs::path& run, const std::function<void(uint64_t bytes)>& progress) {
  PreparedTokens tokens;
  fs::create_directories(run / "data");
  for (const auto& corpus : corpora) {
    const fs::path path = run / "data" / (corpus.name + ".safetensors"), held = run / "data" / (corpus.name + ".held-out.safetensors");
    if (!fs::exists(path) || (config.held_out > 0.0 && !fs::exists(held))) {
      train::tokenise(corpus, tokenizer, {.held_out = config.held_out, .path = path, .held_out_path = held, .progress = progress});
    }
    tokens.corpora.push_back({corpus.name, train::TokenCache::open(path)});
    if (config.held_out > 0.0) tokens.held_out.push_back(train::TokenCache::open(held));
  }
  return tokens;
}

lm::Transformer prepare_model(const TrainConfig& config, const text::Tokenizer& tokenizer, int64_t longest) {
  const auto dtype = config.precision == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
  lm::Transformer model(nullptr);
  if (is_fresh(config)) {
    auto shape = fresh_config(config, {tokenizer.size(), tokenizer.bos_id(), tokenizer.eos_id()}, longest);
    if (config.window_inclusive && shape.window > 0) lm::set_window(shape, shape.window + 1);
    model = lm::Transformer(shape);
    lm::init_weights(model, config.seed);
    model->to(dtype);
    model->fuse();
  } else {
    const auto path = run::find_model(config.model.get<std::string>(), "model ");
    lm::LoadOptions load{.dtype = config.precision == Precision::bf16 ? lm::DtypeChoice::bf16 : lm::DtypeChoice::fp32, .tokenizer = false};
    if (config.window_inclusive && fs::exists(path / "config.json")) {
      const int64_t window = lm::read_config(path / "config.json").window;
      if (window > 0) load.window = window + 1;
    }
    model = lm::load_model(path.string(), load).model;
  }
  if (tokenizer.size() > model->config().vocab)
    throw InputError("the tokenizer has {} pieces, and the model {} rows for them; give the model's own, or see tessera danube retokenize",
                     tokenizer.size(), model->config().vocab);
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(true);
  model->train();
  return model;
}

}  // namespace tessera::danube
