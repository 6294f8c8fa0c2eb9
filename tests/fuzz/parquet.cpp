// Any bytes as a .parquet file: its first rows, all columns and the first alone, or an InputError of one line. A file that is read to its
// end has as many rows as are counted, and passing over rows comes to the same row as reading them.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "tessera/base/error.h"
#include "tessera/data/records.h"

namespace {

namespace fs = std::filesystem;
using namespace tessera::data;

constexpr uint64_t kMostRows = 3000;  // a few bytes may stand for billions of empty cells

void check(bool holds) {
  if (!holds) std::abort();
}

const fs::path& scratch_file() {
  static const fs::path path = [] {
    fs::path made = fs::temp_directory_path() / ("tessera_fuzz_" + std::to_string(getpid()) + ".parquet");
    std::atexit([] { fs::remove(scratch_file()); });
    return made;
  }();
  return path;
}

void read_numbers(const Row& row) {
  for (const auto& [name, value] : row.fields) {
    try {
      row.number(name);
      row.integer(name);
    } catch (const tessera::InputError&) {  // the field holds something else
    }
  }
}

void read_rows(const fs::path& path) {
  const auto records = open_records(path);
  uint64_t rows = 0;
  Row row, first, second;
  for (; rows < kMostRows && records->next(row); ++rows) {
    read_numbers(row);
    if (rows == 0) first = row;
    if (rows == 1) second = row;
  }
  if (rows < kMostRows) check(count_records(path) == rows);
  if (rows < 2) return;
  const auto again = open_records(path);
  check(again->skip(1) == 1 && again->next(row));
  check(row.where == second.where && row.fields.size() == second.fields.size());
  if (first.fields.empty()) return;
  const auto narrow = open_records(path, {.columns = {first.fields.front().first}});
  check(narrow->next(row) && row.fields.size() == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::ofstream(scratch_file(), std::ios::binary) << std::string_view(reinterpret_cast<const char*>(data), size);
  try {
    read_rows(scratch_file());
  } catch (const tessera::InputError& error) {
    check(std::string_view(error.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
