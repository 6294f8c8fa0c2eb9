#include "tessera/methods/danube/train_config.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/run/options_row.h"
#include "tessera/train/optim/registry.h"

namespace tessera::danube {

namespace {

using Json = lm::Json;

// One object of the file; every key must be asked for.
class Reader {
 public:
  Reader(const Json& json, std::string place) : json_(json), place_(std::move(place)) {
    if (!json.is_object()) throw InputError("{} is {}; expected an object {{...}}", place_, tessera::quoted(json.dump()));
  }
  // Throws for a key that was never asked for.
  void finish() const {
    for (const auto& [key, value] : json_.items()) {
      if (std::find(asked_.begin(), asked_.end(), key) != asked_.end()) continue;
      const auto near = run::nearest(key, asked_);
      throw InputError("{}: there is no key {}; {}", place_, tessera::quoted(key),
                       near.empty() ? "the keys are " + names() : "did you mean " + near + "?");
    }
  }
  const Json* find(const std::string& key) {
    asked_.push_back(key);
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  int64_t integer(const std::string& key, int64_t fallback, int64_t least) {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    const double number = value->is_number() ? value->get<double>() : -1.0;
    if (!value->is_number() || number != std::floor(number) || number < static_cast<double>(least) || number > 9e15)
      wrong(key, *value, fmt::format("a whole number of at least {}", least));
    return static_cast<int64_t>(number);
  }
  double number(const std::string& key, double fallback, double least, double most) {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
      wrong(key, *value, fmt::format("a number from {} to {}", least, most));
    return value->get<double>();
  }
  bool flag(const std::string& key) {
    const auto* value = find(key);
    if (value != nullptr && !value->is_boolean()) wrong(key, *value, "true or false");
    return value != nullptr && value->get<bool>();
  }
  std::string word(const std::string& key, const std::string& fallback) {
    const auto* value = find(key);
    if (value != nullptr && !value->is_string()) wrong(key, *value, "a text");
    return value != nullptr ? value->get<std::string>() : fallback;
  }
  [[noreturn]] void wrong(const std::string& key, const Json& value, const std::string& expected) const {
    throw InputError("{}: {} is {}; expected {}", place_, key, tessera::quoted(value.dump()), expected);
  }
  std::string at(const std::string& key) const { return place_ + ": " + key; }

 private:
  std::string names() const {
    std::string all;
    for (const auto& name : asked_) all += (all.empty() ? "" : ", ") + name;
    return all;
  }
  const Json& json_;
  std::string place_;
  std::vector<std::string> asked_;
};

template <class T>
T one_of(Reader& reader, const std::string& key, const std::vector<std::pair<std::string, T>>& words) {
  const auto given = reader.word(key, words.front().first);
  std::string all;
  for (const auto& [name, value] : words) {
    if (name == given) return value;
    all += (all.empty() ? "" : ", ") + name;
  }
  reader.wrong(key, given, "one of " + all);
}

StageConfig read_stage(const Json& json, const std::string& place) {
  Reader reader(json, place);
  StageConfig stage;
  stage.tokens = reader.integer("tokens", 0, 1);
  stage.seq_len = reader.integer("seq_len", 0, 1);
  if (stage.tokens == 0 || stage.seq_len == 0) throw InputError("{}: a stage needs tokens and seq_len; give both", place);
  if (const auto* lr = reader.find("lr")) {
    if (!lr->is_number() || !(lr->get<double>() >= 0.0)) reader.wrong("lr", *lr, "a rate of 0 or more");
    stage.lr = lr->get<double>();
  }
  if (const auto* mix = reader.find("mix")) {
    if (!mix->is_object() || mix->empty()) reader.wrong("mix", *mix, "{\"source\": weight, ...}");
    for (const auto& [source, weight] : mix->items()) {
      if (!weight.is_number() || !(weight.get<double>() >= 0.0)) reader.wrong("mix." + source, weight, "a weight of 0 or more");
      stage.mix.emplace_back(source, weight.get<double>());
    }
  }
  reader.finish();
  return stage;
}

void read_optimizer(const Json& json, const std::string& place, TrainConfig& config) {
  Reader reader(json, place);
  config.optimizer.name = reader.word("name", "adamw");
  const bool adam = config.optimizer.name == "adamw";
  const auto optional = [&](const char* key, std::optional<double>& into, double usual) {
    const double value = reader.number(key, -1.0, 0.0, 1.0);
    if (value >= 0.0) into = value;
    if (value < 0.0 && adam) into = usual;
  };
  optional("beta1", config.optimizer.beta1, 0.9);
  optional("beta2", config.optimizer.beta2, 0.95);
  optional("eps", config.optimizer.eps, 1e-8);
  config.weight_decay = reader.number("weight_decay", config.weight_decay, 0.0, 1e3);
  config.clip = reader.number("clip", config.clip, 0.0, 1e9);
  reader.finish();
  train::check_optim_options(config.optimizer);
}

void read_schedule(const Json& json, const std::string& place, TrainConfig& config) {
  Reader reader(json, place);
  config.decay = one_of<train::Decay>(
      reader, "decay", {{"cosine", train::Decay::cosine}, {"linear", train::Decay::linear}, {"constant", train::Decay::constant}});
  config.peak = reader.number("peak", config.peak, 0.0, 1e3);
  config.lowest = reader.number("lowest", std::min(config.lowest, config.peak), 0.0, config.peak);
  config.warmup = reader.integer("warmup", 0, 0);
  reader.finish();
}

int64_t whole_steps(int64_t tokens, int64_t batch) { return (tokens + batch - 1) / batch; }

}  // namespace

TrainConfig parse_train_config(const lm::Json& json, const std::string& file) {
  Reader reader(json, file);
  TrainConfig config;
  const auto* model = reader.find("model");
  if (model == nullptr) throw InputError("{}: there is no model; give an object of config.json's keys, a shape's name or a model", file);
  if (!model->is_object() && !model->is_string()) reader.wrong("model", *model, "an object or a name");
  config.model = *model;
  config.tokenizer = reader.word("tokenizer", "");
  config.vocab = reader.integer("vocab", config.vocab, 257);
  const auto* stages = reader.find("stages");
  if (stages == nullptr || !stages->is_array() || stages->empty())
    throw InputError("{}: stages are missing; give [{{\"tokens\": 700000, \"seq_len\": 128}}, ...]", file);
  for (size_t i = 0; i < stages->size(); ++i) config.stages.push_back(read_stage((*stages)[i], reader.at(fmt::format("stages[{}]", i))));
  int64_t longest = 0;
  for (const auto& stage : config.stages) longest = std::max(longest, stage.seq_len);
  config.batch = reader.integer("batch", longest, 1);
  config.micro = reader.integer("micro", 0, 0);
  read_optimizer(reader.find("optimizer") != nullptr ? json["optimizer"] : Json::object(), reader.at("optimizer"), config);
  read_schedule(reader.find("schedule") != nullptr ? json["schedule"] : Json::object(), reader.at("schedule"), config);
  config.precision = one_of<Precision>(reader, "precision",
                                       {{"fp32", Precision::fp32}, {"bf16", Precision::bf16}, {"fp8-emulate", Precision::fp8_emulate}});
  config.fp8_history = reader.integer("fp8_history", config.fp8_history, 1);
  config.doc_mask = reader.flag("doc_mask");
  config.window_inclusive = reader.flag("window_inclusive");
  config.recompute = reader.flag("recompute");
  config.average = reader.number("average", 0.0, 0.0, 0.999999);
  config.held_out = reader.number("held_out", config.held_out, 0.0, 0.5);
  config.seed = static_cast<uint64_t>(reader.integer("seed", 0, 0));
  reader.finish();
  if (config.recompute && config.precision == Precision::fp8_emulate)
    throw InputError("{}: recompute runs a block twice, which FP8's scales would count twice; leave one of them out", file);
  train::check_schedule(schedule_of(config));
  return config;
}

TrainConfig read_train_config(const std::filesystem::path& path) {
  const auto json = try_parse_json(read_file(path, uint64_t{1} << 24), JsonComments::ignored);
  if (json.is_discarded()) throw InputError("{} is not JSON; look for a missing comma, quote or brace", path.string());
  return parse_train_config(json, path.string());
}

std::vector<train::Stage> stages_of(const TrainConfig& config, const std::vector<std::string>& sources) {
  std::vector<train::Stage> stages;
  for (const auto& stage : config.stages) {
    std::vector<double> weights(stage.mix.empty() ? 0 : sources.size(), 0.0);
    for (const auto& [name, weight] : stage.mix) {
      const auto at = std::find(sources.begin(), sources.end(), name);
      if (at == sources.end()) {
        std::string all;
        for (const auto& source : sources) all += (all.empty() ? "" : ", ") + source;
        throw InputError("stage {}: the mix names {}, which --data has not; its sources are {}", stages.size() + 1, tessera::quoted(name),
                         all);
      }
      weights[static_cast<size_t>(at - sources.begin())] = weight;
    }
    stages.push_back({stage.tokens, stage.seq_len, std::move(weights)});
  }
  return stages;
}

int64_t tokens_of(const TrainConfig& config) {
  int64_t steps = 0;
  for (const auto& stage : config.stages) steps += whole_steps(stage.tokens, config.batch);
  return steps * config.batch;
}

train::Schedule schedule_of(const TrainConfig& config) {
  const int64_t total = tokens_of(config), warmup = std::min(config.warmup, total);
  const auto own = std::count_if(config.stages.begin(), config.stages.end(), [](const StageConfig& stage) { return stage.lr.has_value(); });
  if (own == 0) return {.decay = config.decay, .peak = config.peak, .lowest = config.lowest, .warmup = warmup, .total = total};
  if (own != static_cast<int64_t>(config.stages.size()))
    throw InputError("{} of {} stages have an lr of their own; give one to every stage, or to none", own, config.stages.size());
  double peak = 0.0;
  for (const auto& stage : config.stages) peak = std::max(peak, *stage.lr);
  train::Schedule schedule{.decay = train::Decay::piecewise, .peak = peak, .warmup = warmup, .total = total};
  int64_t begin = 0;  // a piece holds from the first step of its stage: rates are of the tokens seen after a step
  for (const auto& stage : config.stages) {
    schedule.pieces.emplace_back(begin == 0 ? 0 : begin + 1, peak > 0.0 ? *stage.lr / peak : 0.0);
    begin += whole_steps(stage.tokens, config.batch) * config.batch;
  }
  return schedule;
}

}  // namespace tessera::danube
