// merge: a model and an adapter become one model.

#include "tessera/app/commands.h"
#include "tessera/base/error.h"
#include "tessera/lm/load.h"
#include "tessera/lm/save.h"
#include "tessera/run/installed.h"
#include "tessera/train/lora.h"

namespace tessera::app {

namespace {

namespace fs = std::filesystem;

struct MergeCommand {
  std::string model;
  fs::path adapter, out;
};

// As the model is stored: fp32 stays fp32, all else is bf16.
lm::DtypeChoice dtype_of_merge(const fs::path& model, run::Dtype given) {
  if (given != run::Dtype::automatic) return given == run::Dtype::bf16 ? lm::DtypeChoice::bf16 : lm::DtypeChoice::fp32;
  if (!fs::is_directory(model)) return lm::DtypeChoice::bf16;
  const auto raw = lm::read_config(model / "config.json").raw;
  const auto stored = raw.value("torch_dtype", raw.value("dtype", std::string("bfloat16")));
  return stored == "float32" ? lm::DtypeChoice::fp32 : lm::DtypeChoice::bf16;
}

void merge(const MergeCommand& options, run::Context& context) {
  const fs::path base = run::find_model(options.model, "MODEL ");
  auto loaded = lm::load_model(base.string(), {.dtype = dtype_of_merge(base, context.settings().dtype), .tokenizer = false});
  train::load_lora(*loaded.model, options.adapter);
  const auto layers = train::lora_layers(*loaded.model).size();
  train::merge_lora(*loaded.model);
  lm::save_model(loaded.model, options.out, {.source = base});
  context.line("{} + {} -> {}: {} layers changed", base.string(), options.adapter.string(), options.out.string(), layers);
  context.result({{"model", base.string()}, {"adapter", options.adapter.string()}, {"out", options.out.string()}, {"layers", layers}});
}

run::OptionTable<MergeCommand> merge_options() {
  return run::OptionTable<MergeCommand>()
      .model("MODEL", &MergeCommand::model, "the model below the adapter: a folder, a .gguf, or an installed model's name")
      .input("ADAPTER", &MergeCommand::adapter, "folder with adapter_config.json and adapter_model.safetensors (PEFT's LoRA)")
      .output("OUT", &MergeCommand::out, "folder of the new model; must not exist")
      .example("tessera merge smollm2 runs/lora/adapter tuned", "the model that --no-merge left unwritten")
      .example("tessera merge model/ adapter/ merged --dtype fp32", "sums rounded to float32")
      .example("tessera merge model/ adapter/ merged --json", "for a script");
}

}  // namespace

run::Command merge_command() { return run::command("merge", "add a LoRA adapter to its model", merge_options, merge); }

}  // namespace tessera::app
