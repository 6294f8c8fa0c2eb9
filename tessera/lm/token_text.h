#pragma once
// The text side of generation: ids become whole characters, and stop strings are found across tokens.

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::text {
class Tokenizer;
}  // namespace tessera::text

namespace tessera::lm {

// The text of one sequence as it grows. What may be the beginning of a stop string is held back until that is decided.
class TokenText {
 public:
  // tokenizer may be null: then there is no text, and no stop string is found.
  TokenText(const text::Tokenizer* tokenizer, const std::vector<std::string>& stop);

  // Text that became certain with this id.
  std::string add(int64_t id);
  // What was held back, at the end of a sequence that no stop string ended.
  std::string flush();
  bool stopped() const { return stopped_; }  // a stop string was found; the text ends before it

 private:
  std::string decode_new(bool end);
  std::string release(const std::string& fresh, bool end);

  const text::Tokenizer* tokenizer_;
  std::vector<std::string> stop_;
  std::vector<int32_t> ids_;  // ids_[0, shown_) have given text already; they stay as context for the pieces after them
  size_t shown_ = 0;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace tessera::lm
