#pragma once
// Token ids one by one, text piece by piece: what a person sees while a model writes.

#include <string>
#include <vector>

#include "tessera/text/tokenizer.h"

namespace tessera::text {

struct StreamOptions {
  bool skip_special_tokens = true;
  std::vector<std::string> stop = {};  // text that ends the stream; it is not given out. None may be empty
};

// One stream. The pieces that push() and finish() return are whole characters and join to exactly decode(all ids), or to its part before
// the first stop string. Text that may be the beginning of a stop string waits until it is known. The tokenizer must outlive the stream.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, StreamOptions options = {});  // throws InputError on an empty stop string
  // The text that `id` completes; may be empty. Nothing more comes after a stop string was found.
  std::string push(TokenId id);
  // What still waits: cut characters become U+FFFD, beginnings of stop strings come as they are.
  std::string finish();
  bool stopped() const { return stopped_; }
  const std::string& stop_string() const { return found_; }  // the one that ended the stream; empty before

 private:
  std::string release(const std::string& fresh, bool last);
  void move_window();
  bool in_byte_run(TokenId id) const;

  const Tokenizer& tokenizer_;
  StreamOptions options_;
  std::vector<TokenId> window_;  // the last ids; those before are out and no longer change the text
  std::string shown_;            // the beginning of decode(window_) that has been taken
  std::string held_;             // taken but perhaps the beginning of a stop string
  std::string found_;
  bool stopped_ = false, byte_fallback_ = false;
};

}  // namespace tessera::text
