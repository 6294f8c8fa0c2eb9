#pragma once
// What every optimizer's test needs: parameters of several shapes with fixed gradients, and the properties that the contract promises.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tessera/base/error.h"
#include "tessera/train/optim/registry.h"

namespace tessera::train {

using OptimGradients = std::vector<torch::Tensor>;

// Parameters of every shape a model has; matrices wide, tall and square. The same seed gives the same values.
inline std::vector<Parameter> optim_parameters(uint64_t seed = 1, double weight_decay = 0.1) {
  torch::manual_seed(seed);
  std::vector<Parameter> parameters;
  const auto add = [&](const char* name, std::vector<int64_t> shape, bool matrix) {
    parameters.push_back({.name = name,
                          .value = torch::randn(shape),
                          .lr_scale = matrix ? 1.0 : 0.5,
                          .weight_decay = matrix ? weight_decay : 0.0,
                          .matrix = matrix});
  };
  add("embed.weight", {11, 6}, false);
  add("up.weight", {20, 12}, true);
  add("down.weight", {12, 20}, true);
  add("square.weight", {9, 9}, true);
  add("norm.weight", {12}, false);
  return parameters;
}

inline OptimGradients optim_gradients(const std::vector<Parameter>& parameters, int64_t step) {
  torch::manual_seed(1000 + step);
  OptimGradients grads;
  for (const auto& parameter : parameters) grads.push_back(torch::randn(parameter.value.sizes()));
  return grads;
}

inline void optim_run(Optimizer& optimizer, int64_t from, int64_t to, double lr = 0.01) {
  std::vector<size_t> all(optimizer.parameters().size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  for (int64_t step = from; step <= to; ++step) {
    const auto grads = optim_gradients(optimizer.parameters(), step);
    optimizer.update(all, grads, {.step = step, .lr = lr});
  }
}

inline void expect_same_values(const Optimizer& a, const Optimizer& b) {
  for (size_t i = 0; i < a.parameters().size(); ++i) {
    EXPECT_TRUE(torch::equal(a.parameters()[i].value, b.parameters()[i].value)) << a.parameters()[i].name;
  }
}

// Saved after 4 of 9 updates and put into a fresh optimizer over equal values: the rest is the same, bit for bit.
inline void expect_exact_resume(const OptimOptions& options) {
  auto straight = make_optimizer(options, optim_parameters()), first = make_optimizer(options, optim_parameters());
  optim_run(*straight, 1, 9);
  optim_run(*first, 1, 4);
  auto parameters = first->parameters();
  for (auto& parameter : parameters) parameter.value = parameter.value.clone();
  auto second = make_optimizer(options, parameters);
  for (size_t i = 0; i < parameters.size(); ++i) {
    StateTensors copy;
    for (const auto& [name, tensor] : first->state(i)) copy.emplace_back(name, tensor.clone());
    second->load_state(i, copy);
  }
  optim_run(*second, 5, 9);
  expect_same_values(*straight, *second);
}

// One call for all parameters, and one a parameter in reverse order.
inline void expect_split_calls_agree(const OptimOptions& options) {
  auto together = make_optimizer(options, optim_parameters()), apart = make_optimizer(options, optim_parameters());
  optim_run(*together, 1, 7);
  for (int64_t step = 1; step <= 7; ++step) {
    const auto grads = optim_gradients(apart->parameters(), step);
    for (size_t i = grads.size(); i-- > 0;) apart->update({{i}}, {&grads[i], 1}, {.step = step, .lr = 0.01});
  }
  expect_same_values(*together, *apart);
}

// state_bytes says, before anything is made, what the tensors then take.
inline void expect_exact_state_bytes(const OptimOptions& options) {
  auto optimizer = make_optimizer(options, optim_parameters());
  std::vector<int64_t> said;
  for (size_t i = 0; i < optimizer->parameters().size(); ++i) {
    EXPECT_TRUE(optimizer->state(i).empty());
    said.push_back(optimizer->state_bytes(i));
  }
  optim_run(*optimizer, 1, 2);
  for (size_t i = 0; i < said.size(); ++i) {
    int64_t bytes = 0;
    for (const auto& [name, tensor] : optimizer->state(i)) bytes += static_cast<int64_t>(tensor.nbytes());
    EXPECT_EQ(said[i], bytes) << optimizer->parameters()[i].name;
    EXPECT_EQ(said[i], optimizer->state_bytes(i));
  }
}

inline std::string optim_error(const std::function<void()>& body) {
  try {
    body();
  } catch (const InputError& error) {
    return error.what();
  }
  return "(none)";
}

}  // namespace tessera::train
