#pragma once
// Training in FP8, emulated: every linear layer of attention and MLP multiplies what the formats hold (fp8.h); embedding, norms and head
// stay as they are (Danube, arXiv 2401.16818, section 3).

#include "tessera/lm/model.h"
#include "tessera/methods/danube/fp8.h"
#include "tessera/train/task.h"

namespace tessera::danube {

class Fp8Model {
 public:
  // Puts the emulation under every linear layer of `model` (float32, else InputError) until this object dies. `history`: how many passes a
  // scale remembers. Only passes with gradients use it: evaluation multiplies exactly, and leaves the scales alone.
  explicit Fp8Model(lm::Transformer model, int64_t history = 16);
  ~Fp8Model();
  Fp8Model(const Fp8Model&) = delete;
  Fp8Model& operator=(const Fp8Model&) = delete;

  struct Layer {
    std::string name;  // "model.layers.0.self_attn.q_proj"
    std::shared_ptr<Fp8Scales> scales;
  };
  const std::vector<Layer>& layers() const { return layers_; }
  void forget_losses();

  // The histories of all scales, and back to them: with them a resumed run continues bit for bit.
  nlohmann::ordered_json state() const;
  void restore(const nlohmann::ordered_json& state);

 private:
  lm::Transformer model_;
  std::vector<Layer> layers_;
};

// The task with the scales' state as part of its position.
train::Task with_fp8_state(train::Task task, const std::shared_ptr<Fp8Model>& fp8);

}  // namespace tessera::danube
