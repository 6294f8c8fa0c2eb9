// The first byte picks a reader of old text formats, the rest are its bytes. These readers take anything: their answer is clean prose.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tessera/data/control.h"
#include "tessera/data/dictionary.h"
#include "tessera/data/manpage.h"
#include "tessera/data/prose.h"

namespace {

using namespace tessera::data;

void check(const std::string& prose) {
  if (!is_utf8(prose) || clean_prose(prose) != prose) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'm':
      check(manpage_to_prose(text));
      break;
    case 'c':
      check(copyright_to_prose(text));
      break;
    case 'p':
      for (const ControlParagraph& paragraph : parse_control(text)) check(package_description(paragraph));
      break;
    case 'f':
      for (const std::string& saying : fortunes(text)) check(saying);
      break;
    case 'd':
      for (const Document& entry : dictd_glosses(text)) check(entry.text);
      break;
    default:
      check(clean_prose(text));
      unwrap_lines(text);
  }
  return 0;
}
