#pragma once
// Post-processors: the tokens added around one text or between two, and offsets trimmed of blanks.

#include <vector>

#include "tessera/text/tokenizer.h"
#include "tessera/text/tokenizer_spec.h"

namespace tessera::text {

// What the steps add to one text or to two, in tokens.
int64_t added_count(const std::vector<PostProcessorStep>& steps, bool pair);

// Cuts the encodings (one or two) so that with `added` more tokens they are no longer than `truncation` allows.
// Throws InputError naming `source` when the strategy cannot be followed.
void truncate(std::vector<Encoding>& encodings, const Truncation& truncation, int64_t added, const std::string& source);

// Runs the steps over the encodings of one or two texts and joins them.
Encoding post_process(const std::vector<PostProcessorStep>& steps, std::vector<Encoding> encodings, bool add_special_tokens);

void pad(Encoding& encoding, const Padding& padding);

}  // namespace tessera::text
