#include "tessera/data/records.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "tessera/base/error.h"
#include "tessera/data/record_readers.h"

namespace tessera::data {
namespace {

namespace fs = std::filesystem;

const char* kind_of_value(const Value& value) {
  constexpr const char* kinds[] = {"empty", "true or false", "an integer", "a number", "text", "a list of texts", "a nested value"};
  return kinds[value.index()];
}

[[noreturn]] void wrong_kind(const Row& row, std::string_view name, const Value& value, const char* expected) {
  throw InputError("{}: field {} is {}; it must be {}", row.where, tessera::quoted(name), kind_of_value(value), expected);
}

const Value& needed(const Row& row, std::string_view name) {
  if (const Value* value = row.find(name)) return *value;
  std::vector<std::string> names;
  for (const auto& [key, value] : row.fields) names.push_back(tessera::quoted(key));
  throw InputError("{}: there is no field {}; it has {}", row.where, tessera::quoted(name), fmt::join(names, ", "));
}

template <class Number>
std::optional<Number> parsed(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The ending of a file's name that says its format, lower case, without .gz or .zst.
std::string format_of(const fs::path& path) {
  fs::path name = path.filename();
  std::string ending = name.extension().string();
  if (ending == ".gz" || ending == ".zst") ending = name.stem().extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

constexpr const char* endings = ".jsonl .ndjson .csv .tsv .txt .md (also with .gz or .zst) .parquet";

bool is_known(const std::string& ending) {
  for (const char* known : {".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".md", ".parquet"})
    if (ending == known) return true;
  return false;
}

std::unique_ptr<Records> open_file(const fs::path& path, const RecordsOptions& options) {
  const std::string ending = format_of(path);
  if (ending == ".jsonl" || ending == ".ndjson") return read_jsonl(path, options);
  if (ending == ".csv") return read_csv(path, options, ',');
  if (ending == ".tsv") return read_csv(path, options, '\t');
  if (ending == ".txt" || ending == ".md") return read_txt(path, options);
  if (ending == ".parquet") return read_parquet(path, options);
  throw InputError("{} has no ending that names a format; rename it to one of {}", path.string(), endings);
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied))
    if (entry.is_regular_file() && is_known(format_of(entry.path()))) files.push_back(entry.path());
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  if (files.empty()) throw InputError("{} holds no data files; put files into it that end with {}", folder.string(), endings);
  return files;
}

// The rows of several files, one file open at a time.
class FolderRecords : public Records {
 public:
  FolderRecords(std::vector<fs::path> files, RecordsOptions options) : files_(std::move(files)), options_(std::move(options)) {}

  bool next(Row& row) override {
    while (open_next()) {
      if (current_->next(row)) return true;
      current_.reset();
    }
    return false;
  }
  uint64_t skip(uint64_t rows) override {
    uint64_t done = 0;
    while (done < rows && open_next()) {
      const uint64_t now = current_->skip(rows - done);
      done += now;
      if (done < rows) current_.reset();
    }
    return done;
  }

 private:
  bool open_next() {
    if (!current_ && next_ < files_.size()) current_ = open_file(files_[next_++], options_);
    return current_ != nullptr;
  }

  std::vector<fs::path> files_;
  RecordsOptions options_;
  size_t next_ = 0;
  std::unique_ptr<Records> current_;
};

}  // namespace

const Value* Row::find(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (key == name) return &value;
  return nullptr;
}

const std::string& Row::text(std::string_view name) const {
  const Value& value = needed(*this, name);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  wrong_kind(*this, name, value, "text");
}

double Row::number(std::string_view name) const {
  const Value& value = needed(*this, name);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value)) return static_cast<double>(*number);
  if (const auto* text = std::get_if<std::string>(&value))
    if (const auto number = parsed<double>(*text)) return *number;
  wrong_kind(*this, name, value, "a number");
}

int64_t Row::integer(std::string_view name) const {
  const Value& value = needed(*this, name);
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* number = std::get_if<double>(&value))
    if (std::nearbyint(*number) == *number && std::abs(*number) < 9e15) return static_cast<int64_t>(*number);
  if (const auto* text = std::get_if<std::string>(&value))
    if (const auto number = parsed<int64_t>(*text)) return *number;
  wrong_kind(*this, name, value, "an integer");
}

const std::vector<std::string>& Row::texts(std::string_view name) const {
  const Value& value = needed(*this, name);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) return *texts;
  wrong_kind(*this, name, value, "a list of texts");
}

uint64_t Records::skip(uint64_t rows) {
  uint64_t done = 0;
  for (Row row; done < rows && next(row); ++done) {
  }
  return done;
}

void check_columns(const std::string& where, const std::vector<std::string>& wanted, const std::vector<std::string>& there) {
  for (const std::string& column : wanted)
    if (std::find(there.begin(), there.end(), column) == there.end())
      throw InputError("{}: there is no column {}; it has {}", where, tessera::quoted(column), fmt::join(there, ", "));
}

std::unique_ptr<Records> open_records(const fs::path& path, const RecordsOptions& options) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) throw InputError("{} does not exist; check the path", path.string());
  if (fs::is_directory(status)) return std::make_unique<FolderRecords>(files_below(path), options);
  return open_file(path, options);
}

uint64_t count_records(const fs::path& path, const RecordsOptions& options) {
  return open_records(path, options)->skip(std::numeric_limits<uint64_t>::max());
}

}  // namespace tessera::data
