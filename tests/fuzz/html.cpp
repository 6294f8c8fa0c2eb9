// Any bytes as an HTML page: prose that a second cleaning leaves as it is, or an InputError.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tessera/base/error.h"
#include "tessera/data/html.h"
#include "tessera/data/prose.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::data;
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  try {
    for (const Keep keep : {Keep::no, Keep::yes}) {
      const std::string prose = html_to_prose(page, {.code_blocks = keep, .tables = keep});
      if (!is_utf8(prose) || clean_prose(prose) != prose) std::abort();
    }
  } catch (const tessera::InputError&) {
  }
  return 0;
}
