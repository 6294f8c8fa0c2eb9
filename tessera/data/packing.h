#pragma once
// Token sequences into windows of one length, with the borders of their documents.

#include <cstdint>
#include <span>
#include <vector>

namespace tessera::data {

enum class Packing {
  concatenate,  // one stream, cut every `window` tokens: nothing is lost, documents are cut
  first_fit,    // whole documents into the first window with room; longer ones are cut into windows first
  best_fit      // whole documents, longest first, into the window with least room: fewest pads
};

// One row of a batch: N tokens of whole or cut documents, padded at the end.
struct Window {
  std::vector<int32_t> tokens;     // [N]; pads hold PackingOptions::pad
  std::vector<int32_t> positions;  // [N]; 0 at every piece's first token; pads 0
  std::vector<int32_t> lengths;    // cumulative: 0, end of piece 0, end of piece 1, ...; the last is the number of real tokens
};

struct PackingOptions {
  Packing packing = Packing::concatenate;
  int64_t window = 1024;  // N, 1 and up
  int32_t pad = 0;
  // Open windows that first_fit and best_fit look through; memory is bounded by it, best_fit sorts so many documents at a time.
  size_t open = 1024;
};

// Streams documents into windows: add() documents in order, take() what is full, finish() at the end.
class Packer {
 public:
  explicit Packer(const PackingOptions& options);

  // Appends a document (nothing happens when it is empty).
  void add(std::span<const int32_t> document);
  // The windows that are complete, in order, and forgets them.
  std::vector<Window> take();
  // Closes what is open, padded; then take() the rest. add() after it starts anew.
  void finish();

 private:
  struct Open {
    Window window;
    int64_t room = 0;
  };
  void concatenate(std::span<const int32_t> document);
  void place(std::span<const int32_t> piece);
  void place_sorted();
  void close(Open&& open);

  PackingOptions options_;
  std::vector<Open> open_;
  std::vector<std::vector<int32_t>> waiting_;  // best_fit: documents not yet sorted
  std::vector<Window> done_;
};

// All windows of `documents`.
std::vector<Window> pack(std::span<const std::vector<int32_t>> documents, const PackingOptions& options);

// The document that each of the window's N tokens belongs to: 0, 1, ...; pads -1. Two tokens may see each other only when theirs are equal.
std::vector<int32_t> document_ids(const Window& window);

// Disjoint windows [begin, end) over a stream of `tokens` tokens for scoring, at most `windows` of them (0: all), in order from the first
// token; a last shorter window counts when it has at least `shortest` tokens.
struct Span {
  int64_t begin, end;
};
std::vector<Span> disjoint_windows(int64_t tokens, int64_t window, int64_t windows = 0, int64_t shortest = 2);

}  // namespace tessera::data
