#pragma once
// What a method hands to the training loop: its parameters, its batches, and how its model is written. Language, audio, images and policies
// train through the same loop (trainer.h).

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tessera/train/optimizer.h"

namespace tessera::train {

// One micro-batch. How many terms its loss has is known before the forward pass: so every optimizer step has one denominator over all its
// micro-batches and ranks, and the gradient of k micro-batches is that of one batch.
struct Batch {
  int64_t counted = 0;  // terms of the loss: target tokens, pixels, actions; may be 0
  int64_t tokens = 0;   // what schedule and speed count: all tokens read, counted or not
  std::function<torch::Tensor()>
      loss;  // the forward pass: the SUM of the terms, a scalar with its graph; reads its data here if they are large
};

// Figures of an evaluation, such as {"eval/loss", 3.1}.
using Figures = std::vector<std::pair<std::string, double>>;

struct Task {
  // Leaves of the model that are trained, float32, or bfloat16: those get a float32 master copy that the optimizer moves.
  std::vector<Parameter> parameters;
  // How many micro-batches this rank has in a step (the first is step 1), 1 and up.
  std::function<int64_t(int64_t step)> micro_batches;
  // May be empty. Called before a step's batches on every rank; may change weights and states, the same way when it is called twice.
  std::function<void(int64_t step, Optimizer& optimizer)> prepare_step;
  // Micro-batch `micro` of `step`. The loop asks in order and once each: a source may keep a position.
  std::function<Batch(int64_t step, int64_t micro)> batch;
  // The source's position between two steps, and back to it: the next batches are then the same ones.
  std::function<nlohmann::ordered_json()> position;
  std::function<void(const nlohmann::ordered_json&)> seek;
  // Writes the model into an existing empty folder, and reads its weights from such a folder in place.
  std::function<void(const std::filesystem::path& folder)> write_model;
  std::function<void(const std::filesystem::path& folder)> read_model;
  // May be empty: no evaluation.
  std::function<Figures()> evaluate;
};

}  // namespace tessera::train
