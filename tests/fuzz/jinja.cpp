// libFuzzer: a template's source over a fixed conversation. Any bytes end in text or in one InputError.

#include <nlohmann/json.hpp>
#include <string_view>

#include "tessera/base/error.h"
#include "tessera/text/jinja.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera;
  static const auto variables = nlohmann::ordered_json::parse(
      R"({"s": "Hello, żółw", "n": 7, "f": 2.5, "l": [3, 1, 2], "d": {"b": 1, "a": {"x": [1, 2]}}, "t": true, "z": null,
          "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]})");
  try {
    const text::jinja::Template parsed(std::string_view(reinterpret_cast<const char*>(data), size));
    parsed.render(variables, std::tm{}, {.steps = 20'000, .output_bytes = 1 << 20});
  } catch (const InputError&) {
  }
  return 0;
}
