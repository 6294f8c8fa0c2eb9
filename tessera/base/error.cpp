#include "tessera/base/error.h"

namespace tessera {

namespace {
constexpr std::string_view hint_mark = "; ";
}

std::string Error::message() const {
  const std::string line = what();
  return line.substr(0, line.rfind(hint_mark));
}

std::string Error::hint() const {
  const std::string line = what();
  const auto mark = line.rfind(hint_mark);
  return mark == std::string::npos ? "" : line.substr(mark + hint_mark.size());
}

std::string quoted(std::string_view text, size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (text.size() > limit) {
    while (!out.empty() && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80 && (static_cast<unsigned char>(out.back()) & 0x80)) {
      const bool lead = (static_cast<unsigned char>(out.back()) & 0xc0) == 0xc0;
      out.pop_back();  // do not cut a UTF-8 character in two
      if (lead) break;
    }
    out += "...";
  }
  return out;
}

}  // namespace tessera
