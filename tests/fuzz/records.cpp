// The first byte picks a kind of data file, the rest are its bytes, packed or not: every row, or an InputError. Counting agrees with
// reading.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "tessera/base/error.h"
#include "tessera/data/records.h"
#include "tessera/data/wordnet.h"

namespace {

namespace fs = std::filesystem;
using namespace tessera::data;

const fs::path& folder() {
  static const fs::path path = [] {
    const fs::path made = fs::temp_directory_path() / ("tessera_fuzz_" + std::to_string(getpid()));
    fs::create_directories(made);
    std::atexit([] { fs::remove_all(folder()); });
    return made;
  }();
  return path;
}

fs::path write(const std::string& name, std::string_view bytes) {
  fs::path path = folder() / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

void read_rows(const fs::path& path, TextUnit unit) {
  RecordsOptions options;
  options.text_unit = unit;
  const auto records = open_records(path, options);
  uint64_t rows = 0;
  for (Row row; records->next(row); ++rows) {
    for (const auto& [name, value] : row.fields) {
      try {
        row.number(name);
        row.integer(name);
      } catch (const tessera::InputError&) {  // the field holds something else
      }
    }
  }
  if (count_records(path, options) != rows) std::abort();
}

// A database of one part of speech: data and index file, a zero byte between them.
void read_words(std::string_view bytes) {
  const size_t cut = std::min(bytes.find('\0'), bytes.size());
  for (const char* part : {"noun", "verb", "adj", "adv"}) {
    write(std::string("data.") + part, bytes.substr(0, cut));
    write(std::string("index.") + part, bytes.substr(std::min(cut + 1, bytes.size())));
  }
  const WordNet words = read_wordnet(folder());
  for (const Synset& synset : words.synsets) topic(synset.file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0]) {
      case 'j':
        read_rows(write("a.jsonl", bytes), TextUnit::file);
        break;
      case 'c':
        read_rows(write("a.csv", bytes), TextUnit::file);
        break;
      case 't':
        read_rows(write("a.tsv", bytes), TextUnit::file);
        break;
      case 'l':
        read_rows(write("a.txt", bytes), TextUnit::line);
        break;
      case 'p':
        read_rows(write("a.txt", bytes), TextUnit::paragraph);
        break;
      case 'w':
        read_words(bytes);
        break;
      default:
        read_rows(write("a.txt", bytes), TextUnit::file);
    }
  } catch (const tessera::InputError&) {
  }
  return 0;
}
