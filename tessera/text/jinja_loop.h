#pragma once
// The `loop` variable of a for loop.

#include <optional>
#include <vector>

#include "tessera/text/jinja_value.h"

namespace tessera::text::jinja {

struct Statement;

struct Loop {
  std::vector<Value> items;  // all of them: already filtered
  int64_t index0 = -1;
  int64_t depth0 = 0;                    // > 0 inside loop(...) of a recursive loop
  const Statement* statement = nullptr;  // of a recursive loop that still runs: what loop(...) runs again
  std::optional<std::vector<Value>> last_changed;
};

// A field of `loop`: index, index0, revindex, revindex0, first, last, length, depth, depth0, previtem, nextitem.
// Undefined when there is no such field.
Value loop_field(const Loop& loop, std::string_view name);

}  // namespace tessera::text::jinja
