#pragma once
// A report with everything a page can hold, from made-up but plausible numbers: for the tests of the page and for looking at it.

#include <filesystem>

#include "tessera/run/report.h"

namespace tessera::run {

// Writes report.html into `folder` and returns the report.
Report sample_report(const std::filesystem::path& folder);
// Text that would break out of any unescaped place.
inline constexpr const char* kHostile = "</script><script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>&amp;\x01\xff";

}  // namespace tessera::run
