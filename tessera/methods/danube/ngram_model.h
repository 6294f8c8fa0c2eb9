#pragma once
// A byte n-gram model with Witten-Bell smoothing (Witten and Bell 1991): how much a text surprises somebody who has read the good ones.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tessera::danube {

// Texts are read in lower case (ASCII) with every run of white space as one blank.
// p(b | h) = (c(h b) + t(h) p(b | h')) / (c(h) + t(h)), h' = h without its first byte, t(h) = distinct bytes seen after h, p(b) below the
// empty history = 1 / 256.
class NgramModel {
 public:
  static constexpr int kMostOrder = 7;
  explicit NgramModel(int order = 5);  // bytes of an n-gram, 1 to 7; InputError

  void read(std::string_view text);  // learns from it
  // Cross-entropy, in nats a byte of the text as read; 0 for one without bytes. ln 256 = 5.55 before anything was learned.
  double nats_per_byte(std::string_view text) const;
  double probability(std::string_view history, unsigned char next) const;

  int order() const { return order_; }
  size_t size() const { return counts_.size(); }  // distinct n-grams of all lengths

  // One safetensors file. load throws InputError for anything that save has not written.
  void save(const std::filesystem::path& file) const;
  static NgramModel load(const std::filesystem::path& file);

 private:
  struct History {
    uint64_t total = 0, types = 0;
  };
  void count(std::string_view gram, uint64_t times);
  int order_;
  std::unordered_map<uint64_t, uint32_t> counts_;    // by key: a length and up to 7 bytes
  std::unordered_map<uint64_t, History> histories_;  // what follows a key
};

}  // namespace tessera::danube
