#include "tessera/train/parallel/sharded_optimizer.h"

#include <numeric>

#include "tessera/base/error.h"

namespace tessera::train {

namespace {

constexpr int64_t kShareBytes = int64_t{16} << 20;  // of values under way at once

// A tensor's bytes as whole int64, padded with zeros: what a Collective moves whatever the dtype.
torch::Tensor as_words(const torch::Tensor& tensor) {
  auto words = torch::zeros({(static_cast<int64_t>(tensor.nbytes()) + 7) / 8}, torch::kInt64);
  const auto host = tensor.detach().cpu().contiguous();
  if (host.nbytes() > 0) std::memcpy(words.data_ptr(), host.const_data_ptr(), host.nbytes());
  return words;
}

void from_words(const torch::Tensor& words, const torch::Tensor& tensor) {
  if (tensor.nbytes() > 0) std::memcpy(tensor.data_ptr(), words.const_data_ptr(), tensor.nbytes());
}

}  // namespace

std::vector<int64_t> balanced_owners(const std::vector<int64_t>& bytes, int64_t ranks) {
  std::vector<size_t> order(bytes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return bytes[a] > bytes[b]; });
  std::vector<int64_t> owners(bytes.size(), 0), held(static_cast<size_t>(ranks), 0);
  for (const size_t i : order) {
    const auto least = std::min_element(held.begin(), held.end());
    owners[i] = least - held.begin();
    *least += bytes[i];
  }
  return owners;
}

ShardedOptimizer::ShardedOptimizer(std::unique_ptr<Optimizer> whole, std::shared_ptr<Collective> ranks)
    : Optimizer(whole->parameters()), whole_(std::move(whole)), ranks_(std::move(ranks)) {
  std::vector<int64_t> bytes;
  for (size_t i = 0; i < parameters_.size(); ++i) bytes.push_back(whole_->state_bytes(i));
  owners_ = balanced_owners(bytes, ranks_->size());
}

void ShardedOptimizer::update(std::span<const size_t> which, std::span<const torch::Tensor> grads, const StepTime& time) {
  torch::NoGradGuard no_grad;
  std::vector<size_t> own;
  std::vector<torch::Tensor> own_grads;
  for (size_t k = 0; k < which.size(); ++k) {
    if (!mine(which[k])) continue;
    own.push_back(which[k]);
    own_grads.push_back(grads[k]);
  }
  if (!own.empty()) whole_->update(own, own_grads, time);
  share_values(which);
}

void ShardedOptimizer::make_states(std::span<const size_t> which) {
  std::vector<size_t> own;
  for (const size_t i : which)
    if (mine(i)) own.push_back(i);
  whole_->make_states(own);
}

// In pieces of kShareBytes, the owners' values side by side in one buffer. Every rank cuts the same pieces.
void ShardedOptimizer::share_values(std::span<const size_t> which) {
  for (size_t begin = 0; begin < which.size();) {
    size_t end = begin;
    int64_t held = 0;
    std::vector<int64_t> sizes(static_cast<size_t>(ranks_->size()), 0);
    for (; end < which.size() && (end == begin || held < kShareBytes); ++end) {
      const auto& value = parameters_[which[end]].value;
      sizes[static_cast<size_t>(owners_[which[end]])] += value.numel();
      held += static_cast<int64_t>(value.nbytes());
    }
    const auto piece = which.subspan(begin, end - begin);
    const auto parts = exchange_buffer(sizes, parameters_[piece[0]].value.scalar_type()).split_with_sizes(sizes);
    std::vector<int64_t> at(sizes.size(), 0);
    std::vector<torch::Tensor> places;
    for (const size_t i : piece) {
      const auto owner = static_cast<size_t>(owners_[i]);
      const auto& value = parameters_[i].value;
      places.push_back(parts[owner].narrow(0, at[owner], value.numel()).view(value.sizes()));
      at[owner] += value.numel();
      if (mine(i)) places.back().copy_(value);
    }
    ranks_->all_gather(parts);
    for (size_t k = 0; k < piece.size(); ++k)
      if (!mine(piece[k])) parameters_[piece[k]].value.copy_(places[k]);
    begin = end;
  }
}

torch::Tensor ShardedOptimizer::exchange_buffer(const std::vector<int64_t>& sizes, torch::Dtype dtype) {
  const int64_t elements = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  if (!exchange_.defined() || exchange_.numel() < elements || exchange_.scalar_type() != dtype) exchange_ = ranks_->buffer(elements, dtype);
  return exchange_.narrow(0, 0, elements);
}

StateTensors ShardedOptimizer::state(size_t i) const {
  if (mine(i)) return whole_->state(i);
  return gathered_.empty() ? StateTensors{} : gathered_[i];
}

void ShardedOptimizer::load_state(size_t i, const StateTensors& state) {
  if (mine(i)) whole_->load_state(i, state);
}

int64_t ShardedOptimizer::state_bytes(size_t i) const { return mine(i) ? whole_->state_bytes(i) : 0; }

int64_t ShardedOptimizer::workspace_bytes(size_t i, torch::Dtype grad) const { return mine(i) ? whole_->workspace_bytes(i, grad) : 0; }

void ShardedOptimizer::gather_states() {
  torch::NoGradGuard no_grad;
  gathered_.clear();
  if (ranks_->rank() == 0) gathered_.resize(parameters_.size());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (owners_[i] == 0) continue;
    if (mine(i)) send_state(i);
    if (ranks_->rank() == 0) gathered_[i] = receive_state(i);
  }
}

// A header of numbers, then the tensors. Numbers: how many tensors, then of each its dtype, its dimensions, and its name's bytes one by
// one.
void ShardedOptimizer::send_state(size_t i) {
  const auto tensors = whole_->state(i);
  std::vector<int64_t> header{static_cast<int64_t>(tensors.size())};
  for (const auto& [name, tensor] : tensors) {
    header.push_back(static_cast<int64_t>(tensor.scalar_type()));
    header.push_back(tensor.dim());
    header.insert(header.end(), tensor.sizes().begin(), tensor.sizes().end());
    header.push_back(static_cast<int64_t>(name.size()));
    header.insert(header.end(), name.begin(), name.end());
  }
  ranks_->send(torch::tensor({static_cast<int64_t>(header.size())}), 0);
  ranks_->send(torch::tensor(header), 0);
  for (const auto& [name, tensor] : tensors) ranks_->send(as_words(tensor), 0);
}

StateTensors ShardedOptimizer::receive_state(size_t i) {
  const int64_t owner = owners_[i];
  const auto length = torch::zeros({1}, torch::kInt64);
  ranks_->receive(length, owner);
  const auto header = torch::zeros({length.item<int64_t>()}, torch::kInt64);
  ranks_->receive(header, owner);
  const auto* at = header.const_data_ptr<int64_t>();
  StateTensors tensors(static_cast<size_t>(*at++));
  for (auto& [name, tensor] : tensors) {
    const auto dtype = static_cast<at::ScalarType>(*at++);
    const int64_t dim = *at++;
    tensor = torch::empty(std::vector<int64_t>(at, at + dim), dtype);
    at += dim;
    const int64_t letters = *at++;
    for (int64_t k = 0; k < letters; ++k) name.push_back(static_cast<char>(*at++));
    const auto words = torch::zeros({(static_cast<int64_t>(tensor.nbytes()) + 7) / 8}, torch::kInt64);
    ranks_->receive(words, owner);
    from_words(words, tensor);
  }
  return tensors;
}

}  // namespace tessera::train
