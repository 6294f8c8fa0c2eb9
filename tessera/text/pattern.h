#pragma once
// Finds a pattern of a tokenizer.json: plain text, a known pattern by its scanner, any other regular expression with PCRE2.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/text/aligned_text.h"
#include "tessera/text/scanners.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

class Matcher {
 public:
  // Throws InputError, naming `source` and the place in the pattern, when PCRE2 cannot read it.
  Matcher(const Pattern& pattern, std::string source);
  ~Matcher();
  Matcher(Matcher&&) noexcept;

  // Every match in valid UTF-8 `text`, leftmost first, disjoint, appended to `out`. Throws InputError when the pattern needs more steps
  // than a linear pattern would.
  void find_all(std::string_view text, std::vector<ByteRange>& out) const;
  // The same inside one part of the text, which is looked at as if it stood alone.
  void find_all(std::string_view text, ByteRange part, std::vector<ByteRange>& out) const;
  // True when the matches follow each other without a gap, whatever the text.
  bool gapless() const { return scanner_.has_value(); }

 private:
  struct Compiled;
  void find_compiled(std::string_view text, uint32_t shift, std::vector<ByteRange>& out) const;
  std::string text_, source_;
  std::optional<Scanner> scanner_;
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace tessera::text
