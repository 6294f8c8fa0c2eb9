#pragma once
// The normalisers of a tokenizer, ready to run.

#include <memory>
#include <string>
#include <vector>

#include "tessera/text/aligned_text.h"
#include "tessera/text/charsmap.h"
#include "tessera/text/pattern.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

class NormalizerChain {
 public:
  // Throws InputError naming `source` when a pattern or a character map is broken.
  NormalizerChain(const std::vector<NormalizerStep>& steps, const std::string& source);
  bool empty() const { return steps_.empty(); }
  void apply(AlignedText& text) const;
  std::string apply(std::string_view text) const;

 private:
  struct Prepared {
    NormalizerStep step;
    std::unique_ptr<Matcher> matcher;    // replace
    std::unique_ptr<Charsmap> charsmap;  // precompiled
  };
  static void run(const Prepared& prepared, AlignedText& text);
  std::vector<Prepared> steps_;
};

}  // namespace tessera::text
