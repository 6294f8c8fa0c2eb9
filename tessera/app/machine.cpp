#include "tessera/app/machine.h"

#include <torch/version.h>

#include "tessera/base/error.h"
#include "tessera/kernels/process.h"
#include "tessera/kernels/products.h"
#include "tessera/run/environment.h"
#include "tessera/run/installed.h"

namespace tessera::app {

namespace {

using Json = nlohmann::ordered_json;

Json device_list(const std::string& cpu) {
  Json devices = Json::array({{{"name", "cpu"}, {"title", cpu}}});
  if (!torch::cuda::is_available()) return devices;
  for (int i = 0; i < static_cast<int>(torch::cuda::device_count()); ++i)
    devices.push_back({{"name", fmt::format("cuda:{}", i)}, {"title", fmt::format("CUDA device {}", i)}});
  return devices;
}

Json model_list() {
  Json models = Json::array();
  for (const auto& model : run::packaged_models()) {
    const bool installed = run::is_installed(model);
    Json path;
    if (installed) path = (model.parts.empty() ? *run::find_packaged(model.file) : run::cache_folder() / "models" / model.file).string();
    models.push_back({{"name", model.name}, {"title", model.title}, {"installed", installed}, {"path", path}, {"packages", model.wheels}});
  }
  return models;
}

}  // namespace

void apply_settings(const run::Settings& settings) {
  if (settings.device == run::Device::cuda && !torch::cuda::is_available())
    throw InputError("--device cuda: LibTorch {} finds no CUDA device here; give --device cpu, or build against a CUDA LibTorch",
                     TORCH_VERSION);
  kernels::set_up_process(settings.threads > 0 ? settings.threads : run::environment().threads);
  torch::manual_seed(settings.seed);
}

Json machine_document() {
  const run::Environment here = run::environment();
  return {{"cpu", here.cpu},
          {"threads", here.threads},
          {"processors", here.processors},
          {"memory_bytes", here.memory_bytes},
          {"instruction_sets", here.instruction_sets},
          {"float_products", kernels::take_float_products() ? "oneDNN" : "LibTorch's choice"},
          {"libtorch", TORCH_VERSION},
          {"devices", device_list(here.cpu)},
          {"cache", run::cache_folder().string()},
          {"hub", run::hub_folder().string()},
          {"environment", run::environment_folder().string()},
          {"system", here.system},
          {"compiler", here.compiler},
          {"version", here.version},
          {"commit", here.commit},
          {"models", model_list()}};
}

}  // namespace tessera::app
