#include "tessera/methods/shortgpt/opened_model.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/json.h"
#include "tessera/kernels/process.h"
#include "tessera/methods/shortgpt/recurrent_folder.h"
#include "tessera/run/installed.h"

namespace tessera::shortgpt {
namespace {

// Keys whose positive number (or true) says that layers are not independent of each other, and what they mean.
struct SharingKey {
  const char *key, *feature;
};
constexpr SharingKey kSharingKeys[] = {
    {"is_encoder_decoder", "an encoder-decoder"},
    {"num_hidden_groups", "blocks that share their weights"},          // ALBERT
    {"num_kv_shared_layers", "keys and values shared across layers"},  // Gemma 3n
    {"kv_sharing", "keys and values shared across layers"},
    {"cross_layer_attention", "keys and values shared across layers"},
    {"num_mem_blocks", "blocks that share their weights"},  // Zamba 2
    {"num_loops", "blocks that are passed several times"},
};

lm::DtypeChoice dtype_of(run::Dtype dtype) {
  return dtype == run::Dtype::fp32 ? lm::DtypeChoice::fp32 : dtype == run::Dtype::bf16 ? lm::DtypeChoice::bf16 : lm::DtypeChoice::automatic;
}

}  // namespace

std::unique_ptr<LayeredModel> OpenedModel::layers(bool branches) const {
  if (!recurrent()) return layers_of(loaded.model, branches);
  if (branches) throw InputError("{}: only a Transformer's block has attention and FFN branches; leave --sublayers out", name);
  return mamba ? layers_of(mamba) : layers_of(rwkv);
}

void OpenedModel::release_tokenizer() {
  tokenizer.reset();
  loaded.tokenizer.reset();
  kernels::give_back_freed_memory();
}

lm::Transformer& OpenedModel::transformer(const char* command) {
  if (recurrent()) {
    throw InputError("{}: `shortgpt {}` works on Transformers and this is {}; give a Transformer", name, command,
                     mamba ? "a Mamba model" : "an RWKV model");
  }
  return loaded.model;
}

void refuse_shared_layers(const nlohmann::ordered_json& config, const std::string& model) {
  for (const auto& [key, feature] : kSharingKeys) {
    const auto found = config.find(key);
    if (found == config.end()) continue;
    if ((found->is_boolean() && found->get<bool>()) || (found->is_number() && found->get<double>() > 0)) {
      throw InputError("{}: {} ({} = {}): its layers cannot be taken out one by one; give a decoder with independent layers", model,
                       feature, key, found->dump());
    }
  }
}

OpenedModel open_model(const std::string& model, const run::Context& context, const OpenOptions& how) {
  const auto path = run::find_model(model);
  OpenedModel opened;
  opened.name = model;
  if (std::filesystem::is_regular_file(path / "config.json")) {
    const auto config = try_parse_json(read_file(path / "config.json", 1 << 24));
    if (config.is_object()) refuse_shared_layers(config, model);
  }
  const auto kind = recurrent_kind(path);
  if (kind != Recurrent::none) {
    if (kind == Recurrent::mamba) opened.mamba = load_mamba(path);
    if (kind == Recurrent::rwkv) opened.rwkv = load_rwkv(path);
    opened.tokenizer = std::make_shared<text::Tokenizer>(text::Tokenizer::load(path));
    return opened;
  }
  lm::LoadOptions options;
  options.dtype = how.dtype.value_or(dtype_of(context.settings().dtype));
  options.head = how.head;
  options.device = lm::parse_device(run::name_of(context.settings().device));
  opened.loaded = lm::load_model(path.string(), options);
  opened.tokenizer = opened.loaded.tokenizer;
  if (!opened.tokenizer)
    throw InputError("{}: {}; ShortGPT reads text and needs the model's tokenizer", model, opened.loaded.tokenizer_problem);
  return opened;
}

}  // namespace tessera::shortgpt
