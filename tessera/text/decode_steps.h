#pragma once
// The decoders of a tokenizer: pieces back to text.

#include <memory>
#include <string>
#include <vector>

#include "tessera/text/pattern.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

class DecoderChain {
 public:
  // Throws InputError naming `source` when a pattern is broken.
  DecoderChain(const std::vector<DecoderStep>& steps, const std::string& source);
  // The text of the pieces, valid UTF-8 when they are.
  std::string apply(std::vector<std::string> pieces) const;

 private:
  struct Prepared {
    DecoderStep step;
    std::unique_ptr<Matcher> matcher;  // replace
  };
  static std::vector<std::string> run(const Prepared& prepared, std::vector<std::string> pieces);
  std::vector<Prepared> steps_;
};

}  // namespace tessera::text
