#pragma once
// The model of a command line, opened for ShortGPT: a Transformer (folder or GGUF), a Mamba or an RWKV folder, and its tokenizer.

#include <memory>
#include <optional>
#include <string>

#include "tessera/lm/load.h"
#include "tessera/methods/shortgpt/layered.h"
#include "tessera/methods/shortgpt/windows.h"
#include "tessera/run/command.h"

namespace tessera::shortgpt {

struct OpenedModel {
  lm::LoadedModel loaded;  // its model is null when one of the next two is not
  nn::Mamba mamba{nullptr};
  nn::Rwkv rwkv{nullptr};
  std::shared_ptr<const text::Tokenizer> tokenizer;  // not null when opened
  std::string name;                                  // as given

  bool recurrent() const { return mamba || rwkv; }
  int64_t depth() const { return mamba ? mamba->depth() : rwkv ? rwkv->depth() : loaded.model->depth(); }
  // Throws InputError for branches of a recurrent model.
  std::unique_ptr<LayeredModel> layers(bool branches = false) const;
  // For a caller whose texts are tokens by now: `tokenizer` becomes null, and memory goes back to the system.
  void release_tokenizer();
  // The Transformer; throws InputError naming `command` when the model is recurrent.
  lm::Transformer& transformer(const char* command);
};

struct OpenOptions {
  std::optional<lm::DtypeChoice> dtype = {};  // what to compute in; unset: as the command line's --dtype says
  bool head = true;                           // false: for hidden states alone, as lm::LoadOptions
};

// Throws InputError for what lm::load_model refuses, for a model without a usable tokenizer, and (naming the feature) for blocks that share
// weights or keys and values, and for encoder-decoders.
OpenedModel open_model(const std::string& model, const run::Context& context, const OpenOptions& options = {});

// Refuses a config.json whose layers cannot be taken out one by one: encoder-decoder, shared blocks, keys and values shared across layers.
void refuse_shared_layers(const nlohmann::ordered_json& config, const std::string& model);

}  // namespace tessera::shortgpt
