// The state of a trainer on disk: what it takes to continue bit for bit.
#include <map>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/tensor/shapes.h"
#include "tessera/tensor/weights.h"
#include "tessera/train/trainer.h"

namespace tessera::train {

namespace fs = std::filesystem;
using StateJson = nlohmann::ordered_json;

constexpr int64_t kStateVersion = 1;

void Trainer::write_tensors(const fs::path& folder) const {
  tensor::NamedTensors tensors;
  for (size_t i = 0; i < task_.parameters.size(); ++i) {
    const auto& parameter = task_.parameters[i];
    for (const auto& [name, value] : optimizer_->state(i)) tensors.emplace_back(parameter.name + "/" + name, value);
    if (has_master(i)) tensors.emplace_back(parameter.name + "/master", masters_[i]);
    if (!averages_.empty()) tensors.emplace_back(parameter.name + "/average", averages_[i]);
  }
  tensor::save_safetensors(folder / "optimizer.safetensors", tensors);
  // Methods may draw from LibTorch's own generator; the loop itself does not.
  const auto generator = at::globalContext().defaultGenerator(torch::kCPU);
  tensor::save_safetensors(folder / "rng.safetensors", {{"torch", generator.get_state()}});
}

void Trainer::write(const fs::path& folder) const {
  torch::NoGradGuard no_grad;
  task_.write_model(folder);
  write_tensors(folder);
  StateJson state{{"version", kStateVersion}, {"step", step_}, {"tokens", tokens_}, {"smoothed", smoothed_}, {"position", position_}};
  write_file(folder / "trainer_state.json", state.dump(2) + "\n");
}

static void copy_state(const torch::Tensor& from, const torch::Tensor& to, const std::string& name) {
  if (from.sizes() != to.sizes()) {
    throw InputError("optimizer.safetensors: {} is {}, and the model needs {}; resume with the model of the checkpoint", name,
                     tensor::shape_text(from.sizes()), tensor::shape_text(to.sizes()));
  }
  to.copy_(from);
}

void Trainer::read_tensors(const fs::path& folder) {
  const auto weights = tensor::Weights::open(folder / "optimizer.safetensors");
  std::map<std::string, StateTensors> states;  // by parameter
  for (const auto& info : weights.tensors()) {
    const auto slash = info.name.rfind('/');
    if (slash == std::string::npos) throw InputError("optimizer.safetensors: {} is no state of a parameter", tessera::quoted(info.name));
    states[info.name.substr(0, slash)].emplace_back(info.name.substr(slash + 1), weights.load(info.name).clone());
  }
  for (size_t i = 0; i < task_.parameters.size(); ++i) {
    const auto& name = task_.parameters[i].name;
    StateTensors kept;
    bool master = false, average = false;
    for (auto& [key, value] : states[name]) {
      if (key == "master") {
        copy_state(value, masters_[i], name + "/master");
        master = true;
      } else if (key == "average") {
        if (!averages_.empty()) copy_state(value, averages_[i], name + "/average");
        average = true;
      } else {
        kept.emplace_back(key, std::move(value));
      }
    }
    if (!master) masters_[i].copy_(task_.parameters[i].value);
    if (!average && !averages_.empty()) averages_[i].copy_(masters_[i]);
    if (!kept.empty()) optimizer_->load_state(i, kept);
    states.erase(name);
  }
  if (!states.empty())
    throw InputError("optimizer.safetensors holds the state of {}, which is not trained; resume with the options of the run",
                     tessera::quoted(states.begin()->first));
}

void Trainer::read(const fs::path& folder) {
  torch::NoGradGuard no_grad;
  const auto state = try_parse_json<StateJson>(read_file(folder / "trainer_state.json"));
  const auto whole = [&](const char* key) {
    if (!state.is_object() || !state.contains(key) || !state[key].is_number_integer())
      throw InputError("{}: {} is missing or no whole number; take another checkpoint", (folder / "trainer_state.json").string(), key);
    return state[key].get<int64_t>();
  };
  if (whole("version") != kStateVersion)
    throw InputError("{}: version {}, and this program reads {}; use the program that wrote it", (folder / "trainer_state.json").string(),
                     whole("version"), kStateVersion);
  if (!state.contains("smoothed") || !state["smoothed"].is_number() || !state.contains("position"))
    throw InputError("{}: smoothed or position is missing; take another checkpoint", (folder / "trainer_state.json").string());
  step_ = whole("step");
  tokens_ = whole("tokens");
  smoothed_ = state["smoothed"].get<double>();
  position_ = state["position"];
  task_.read_model(folder);
  read_tensors(folder);
  if (task_.seek) task_.seek(position_);
  auto generator = at::globalContext().defaultGenerator(torch::kCPU);
  generator.set_state(tensor::Weights::open(folder / "rng.safetensors").load("torch").clone());
}

}  // namespace tessera::train
