#include "tessera/methods/danube/tuned_model.h"

#include <cmath>

#include "tessera/base/files.h"
#include "tessera/data/shuffle.h"
#include "tessera/lm/save.h"
#include "tessera/train/language.h"

namespace tessera::danube {

namespace fs = std::filesystem;

void prepare_tuning(lm::Transformer& model, const Tuning& tuning) {
  for (auto& parameter : model->parameters()) parameter.set_requires_grad(true);
  model->train();
  if (tuning.lora_rank > 0) train::add_lora(*model, {.rank = tuning.lora_rank, .alpha = tuning.lora_alpha, .seed = tuning.seed});
}

void write_tuned(const lm::Transformer& model, const fs::path& folder, const fs::path& source, const std::string& chat_template) {
  lm::save_model(model, folder, {.source = source});
  if (!chat_template.empty()) write_file(folder / "chat_template.jinja", chat_template);
}

train::Task tuned_task(const lm::Transformer& model, const Tuning& tuning, const fs::path& source, const std::string& chat_template) {
  train::Task task;
  if (tuning.lora_rank > 0) {
    auto adapted = model;
    task.parameters = train::lora_parameters(*adapted);
    task.write_model = [adapted, source](const fs::path& folder) mutable { train::save_lora(*adapted, folder, source.string()); };
    task.read_model = [adapted](const fs::path& folder) mutable { train::read_lora_in_place(*adapted, folder); };
    return task;
  }
  task.parameters = train::language_parameters(model, 0.0);
  task.write_model = [model, source, chat_template](const fs::path& folder) { write_tuned(model, folder, source, chat_template); };
  task.read_model = [model](const fs::path& folder) { train::read_in_place(model, folder); };
  return task;
}

int64_t ExampleOrder::total() const { return std::max<int64_t>(1, std::llround(epochs * static_cast<double>(examples))); }

int64_t ExampleOrder::steps() const { return (total() + batch - 1) / batch; }

std::vector<size_t> ExampleOrder::of_step(int64_t step) const {
  std::vector<size_t> chosen;
  for (int64_t at = (step - 1) * batch; at < std::min(step * batch, total()); ++at) {
    const data::Shuffle order(static_cast<uint64_t>(examples), seed, static_cast<uint64_t>(at / examples));
    chosen.push_back(order(static_cast<uint64_t>(at % examples)));
  }
  return chosen;
}

}  // namespace tessera::danube
