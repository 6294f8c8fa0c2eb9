#pragma once
// Jinja templates as chat templates use them, in the dialect of Transformers' environment: trim_blocks, lstrip_blocks, break and continue,
// {% generation %}, tojson without HTML escapes, raise_exception, strftime_now, an immutable sandbox. Values print as in Python.
// Nothing is executed but the template: no files, no imports, no attributes of the host. Work, depth and output are limited.

#include <cstdint>
#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::text::jinja {

struct Limits {
  int64_t steps = 20'000'000;  // nodes evaluated, plus one for each 64 bytes made
  size_t output_bytes = 64u << 20;
};

struct Rendered {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generated;  // [begin, end) in bytes of `text`: what {% generation %} blocks wrote, in order
};

// A parsed template; rendering does not change it, any number of threads may render it at once.
class Template {
 public:
  // `name` is what error lines call it. Throws InputError with line and column when `source` is no template.
  explicit Template(std::string_view source, std::string name = "chat template");
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // `variables`: a JSON object. `now`: local time for strftime_now; absent: the clock's. Throws InputError with line and column, also
  // for what the template refuses itself (raise_exception).
  Rendered render(const nlohmann::ordered_json& variables, std::optional<std::tm> now = std::nullopt, const Limits& limits = {}) const;

 private:
  struct Tree;
  std::unique_ptr<const Tree> tree_;
};

}  // namespace tessera::text::jinja
