#pragma once
// The pre-tokenizers of a tokenizer, ready to run: they cut a normalised text into the words that the model sees.

#include <memory>
#include <string>
#include <vector>

#include "tessera/text/aligned_text.h"
#include "tessera/text/pattern.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

class PreTokenizerChain {
 public:
  // Throws InputError naming `source` when a pattern is broken.
  PreTokenizerChain(const std::vector<PreTokenizerStep>& steps, const std::string& source);

  // When the last step is ByteLevel, words may stay in bytes instead of printable characters; the model must then expect bytes.
  bool ends_in_byte_level() const;
  void keep_bytes() { keep_bytes_ = true; }
  // True when the result depends on where in the whole text each part came from.
  bool needs_tracking() const;

  // Cuts `text` into words, appended in order, none of them empty. The text may change on the way. False when the text is not tracked and
  // only tracking can tell the result.
  bool apply(AlignedText& text, std::vector<ByteRange>& words) const;

 private:
  struct Prepared {
    PreTokenizerStep step;
    std::unique_ptr<Matcher> matcher;  // split, byte_level
  };
  bool run(const Prepared& prepared, bool last, AlignedText& text, std::vector<ByteRange>& words) const;
  std::vector<Prepared> steps_;
  bool keep_bytes_ = false;
};

}  // namespace tessera::text
