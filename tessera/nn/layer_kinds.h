#pragma once
// What a layer can be told by name, without LibTorch: a model's configuration holds these.

namespace tessera::nn {

enum class Activation { silu, gelu, gelu_tanh };

enum class NormKind { rms, layer };

}  // namespace tessera::nn
