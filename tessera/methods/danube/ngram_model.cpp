#include "tessera/methods/danube/ngram_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tessera/base/error.h"
#include "tessera/tensor/safetensors.h"
#include "tessera/tensor/weights.h"

namespace tessera::danube {

namespace {

uint64_t key_of(std::string_view bytes) {
  uint64_t key = bytes.size();
  for (const char byte : bytes) key = key << 8 | static_cast<unsigned char>(byte);
  return key;
}

// The bytes of a key; empty when it is none.
std::string bytes_of(uint64_t key) {
  for (size_t length = 1; length <= NgramModel::kMostOrder; ++length) {
    if (key >> (8 * length) != length) continue;
    std::string bytes;
    for (size_t i = length; i-- > 0;) bytes.push_back(static_cast<char>(key >> (8 * i) & 0xff));
    return bytes;
  }
  return {};
}

std::string as_read(std::string_view text) {
  std::string read;
  read.reserve(text.size());
  for (const char c : text) {
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (!blank)
      read.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    else if (!read.empty() && read.back() != ' ')
      read.push_back(' ');
  }
  return read;
}

}  // namespace

NgramModel::NgramModel(int order) : order_(order) {
  if (order < 1 || order > kMostOrder) throw InputError("n-grams of {} bytes; give 1 to {}", order, kMostOrder);
}

void NgramModel::count(std::string_view gram, uint64_t times) {
  auto& counted = counts_[key_of(gram)];
  auto& history = histories_[key_of(gram.substr(0, gram.size() - 1))];
  if (counted == 0) ++history.types;
  counted = static_cast<uint32_t>(std::min<uint64_t>(counted + times, std::numeric_limits<uint32_t>::max()));
  history.total += times;
}

void NgramModel::read(std::string_view text) {
  const std::string bytes = as_read(text);
  for (size_t end = 1; end <= bytes.size(); ++end)
    for (size_t length = 1; length <= std::min(end, static_cast<size_t>(order_)); ++length)
      count(std::string_view(bytes).substr(end - length, length), 1);
}

double NgramModel::probability(std::string_view history, unsigned char next) const {
  history.remove_prefix(history.size() - std::min(history.size(), static_cast<size_t>(order_ - 1)));
  double p = 1.0 / 256.0;
  for (size_t length = 0; length <= history.size(); ++length) {
    const auto seen = history.substr(history.size() - length);
    const auto after = histories_.find(key_of(seen));
    if (after == histories_.end()) break;  // then no longer history was seen either
    std::string gram(seen);
    gram.push_back(static_cast<char>(next));
    const auto found = counts_.find(key_of(gram));
    const double count = found == counts_.end() ? 0.0 : static_cast<double>(found->second);
    const auto types = static_cast<double>(after->second.types);
    p = (count + types * p) / (static_cast<double>(after->second.total) + types);
  }
  return p;
}

double NgramModel::nats_per_byte(std::string_view text) const {
  const std::string bytes = as_read(text);
  double nats = 0.0;
  for (size_t at = 0; at < bytes.size(); ++at)
    nats -= std::log(probability(std::string_view(bytes).substr(0, at), static_cast<unsigned char>(bytes[at])));
  return bytes.empty() ? 0.0 : nats / static_cast<double>(bytes.size());
}

void NgramModel::save(const std::filesystem::path& file) const {
  std::vector<std::pair<uint64_t, uint32_t>> sorted(counts_.begin(), counts_.end());
  std::sort(sorted.begin(), sorted.end());
  const auto rows = static_cast<int64_t>(sorted.size());
  const auto keys = torch::empty({rows}, torch::kInt64), counts = torch::empty({rows}, torch::kInt64);
  for (int64_t i = 0; i < rows; ++i) {
    keys.data_ptr<int64_t>()[i] = static_cast<int64_t>(sorted[static_cast<size_t>(i)].first);
    counts.data_ptr<int64_t>()[i] = sorted[static_cast<size_t>(i)].second;
  }
  tensor::save_safetensors(file, {{"keys", keys}, {"counts", counts}}, {{"order", std::to_string(order_)}});
}

NgramModel NgramModel::load(const std::filesystem::path& file) {
  const auto weights = tensor::Weights::open(file);
  const auto& metadata = weights.metadata();
  const auto order = metadata.find("order");
  if (order == metadata.end() || order->second.size() != 1 || !weights.has("keys") || !weights.has("counts"))
    throw InputError("{} is no n-gram model; give one that danube quality --train has written", file.string());
  NgramModel model(order->second[0] - '0');
  const auto keys = weights.load("keys", torch::kInt64), counts = weights.load("counts", torch::kInt64);
  if (keys.dim() != 1 || !keys.sizes().equals(counts.sizes()))
    throw InputError("{}: keys and counts are not one list each; train the model anew", file.string());
  for (int64_t i = 0; i < keys.numel(); ++i) {
    const auto gram = bytes_of(static_cast<uint64_t>(keys.data_ptr<int64_t>()[i]));
    const int64_t times = counts.data_ptr<int64_t>()[i];
    if (gram.empty() || static_cast<int>(gram.size()) > model.order_ || times < 1 || times > std::numeric_limits<uint32_t>::max())
      throw InputError("{}: n-gram {} is broken; train the model anew", file.string(), i);
    model.count(gram, static_cast<uint64_t>(times));
  }
  return model;
}

}  // namespace tessera::danube
