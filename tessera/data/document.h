#pragma once
// The unit that the text sources and readers hand out: one document, already prose.

#include <functional>
#include <string>

namespace tessera::data {

struct Document {
  std::string name;  // where it comes from: a path below the root, plus "#3" or an entry's head word when a file holds several
  std::string text;  // UTF-8 in NFC, lines end with '\n', paragraphs are separated by one empty line, no line ends with a space
};

// Takes one document; returns false to stop reading.
using DocumentSink = std::function<bool(Document&&)>;

}  // namespace tessera::data
