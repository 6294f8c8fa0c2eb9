#pragma once
// Rows of a data set, whatever file holds them: jsonl, csv, tsv, txt, Parquet, packed with gzip or zstd or not, or a folder of such files.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tessera::data {

struct Json {  // a nested value that is no list of strings, as compact JSON text
  std::string text;
  bool operator==(const Json&) const = default;
};

// monostate: null, or an empty Parquet cell.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>, Json>;

// One row. Fields keep the file's order.
struct Row {
  std::vector<std::pair<std::string, Value>> fields;
  std::string where;  // "train.jsonl:12" (a line), "train.parquet, row 12" or a document's path: the start of every message about it

  // The field, or nullptr.
  const Value* find(std::string_view name) const;
  // The field as text, number, integer, list of strings. InputError "train.jsonl:12: ..." when it is missing (with the fields that are
  // there) or is something else. csv has only text: number() and integer() read it; so they do a string that holds a number in full.
  const std::string& text(std::string_view name) const;
  double number(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  const std::vector<std::string>& texts(std::string_view name) const;
};

enum class TextUnit { file, paragraph, line };  // what a row of a .txt file is

struct RecordsOptions {
  std::vector<std::string> columns;     // keep these only, InputError when one is not there; empty keeps all
  TextUnit text_unit = TextUnit::file;  // rows of .txt, in the field "text"
};

// A stream of rows: holds one row and one block of the file, whatever the file's size.
class Records {
 public:
  virtual ~Records() = default;
  // The next row in `row`; false at the end. InputError with file and line on a malformed row.
  virtual bool next(Row& row) = 0;
  // Passes over up to `rows` rows; returns how many there were. Faster than next() where the format allows, checks less.
  virtual uint64_t skip(uint64_t rows);
};

// Opens a file by the end of its name (.jsonl .ndjson .csv .tsv .txt .md .parquet, each but the last also with .gz or .zst), or a folder:
// every such file below it, in byte order of the paths. Bytes that are no UTF-8 are refused in jsonl and read as windows-1252 elsewhere.
// InputError when there is no such file, on another ending, or for Parquet when this build has no reader for it.
std::unique_ptr<Records> open_records(const std::filesystem::path& path, const RecordsOptions& options = {});

// Rows of a file or folder, in bounded memory: from Parquet's footer, else by passing over them.
uint64_t count_records(const std::filesystem::path& path, const RecordsOptions& options = {});

}  // namespace tessera::data
