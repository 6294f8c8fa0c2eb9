#pragma once
// Parameters of a model matched with the tensors of a file, in both directions.

#include "tessera/lm/architecture.h"
#include "tessera/lm/model.h"
#include "tessera/tensor/weights.h"

namespace tessera::lm {

// A tensor of the file, as our parameter: the transformations of StoredAs undone. A view of it where that is enough.
torch::Tensor from_stored(const torch::Tensor& tensor, const StoredAs& stored);
// And back; a part among several is still only its own rows.
torch::Tensor to_stored(const torch::Tensor& parameter, const StoredAs& stored);

// The model's tensors as a file of this layout holds them, in the model's order, parts joined. `name` gives each parameter's place.
tensor::NamedTensors stored_tensors(const Transformer& model, const std::function<StoredAs(const std::string&)>& name);

}  // namespace tessera::lm
