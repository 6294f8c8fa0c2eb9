#include <algorithm>
#include <unordered_set>

#include "tessera/base/error.h"
#include "tessera/data/input.h"
#include "tessera/data/prose.h"
#include "tessera/data/record_readers.h"

namespace tessera::data {
namespace {

constexpr size_t longest_row = size_t{256} << 20;  // bytes

class CsvRecords : public Records {
 public:
  CsvRecords(const std::filesystem::path& path, const RecordsOptions& options, char delimiter)
      : bytes_(path), delimiter_(delimiter), block_(size_t{1} << 16, '\0') {
    fill();
    if (std::string_view(block_).substr(0, end_).starts_with("\xEF\xBB\xBF")) begin_ = 3;
    if (!read_fields() || cells_.empty()) throw InputError("{} is empty; its first line must name the columns", path.string());
    for (const std::string& cell : cells_) header_.push_back(to_utf8(cell));
    std::unordered_set<std::string_view> names;
    for (const std::string& name : header_)
      if (!names.insert(name).second) throw InputError("{}:1: two columns are called {}; rename one", path.string(), tessera::quoted(name));
    check_columns(path.string(), options.columns, header_);
    for (size_t i = 0; i < header_.size(); ++i)
      if (options.columns.empty() || std::find(options.columns.begin(), options.columns.end(), header_[i]) != options.columns.end())
        kept_.push_back(i);
  }

  bool next(Row& row) override {
    if (!read_row()) return false;
    row.where = where(row_line_);
    row.fields.clear();
    for (const size_t i : kept_) row.fields.emplace_back(header_[i], to_utf8(cells_[i]));
    return true;
  }
  uint64_t skip(uint64_t rows) override {
    uint64_t done = 0;
    while (done < rows && read_row()) ++done;
    return done;
  }

 private:
  std::string where(uint64_t line) const { return fmt::format("{}:{}", bytes_.path().string(), line); }

  bool read_row() {
    if (!read_fields()) return false;
    if (cells_.size() != header_.size())
      throw InputError("{}: the row has {} fields, the header names {}; quote fields that hold a delimiter or a line end", where(row_line_),
                       cells_.size(), header_.size());
    return true;
  }

  bool fill() {
    begin_ = 0;
    end_ = bytes_.read(block_.data(), block_.size());
    return end_ > 0;
  }
  // The next byte without taking it; -1 at the end.
  int peek() { return begin_ < end_ || fill() ? static_cast<unsigned char>(block_[begin_]) : -1; }
  int take() {
    const int c = peek();
    if (c >= 0) ++begin_;
    if (c == '\n') ++line_;
    return c;
  }
  void add(std::string& cell, int c) {
    if (++row_bytes_ > longest_row)
      throw InputError("{}: the row is longer than {} bytes; close its quotes", where(row_line_), longest_row);
    cell += static_cast<char>(c);
  }

  // The cells of the next row that is not an empty line; false at the end.
  bool read_fields() {
    while (peek() == '\n' || peek() == '\r') take();
    if (peek() < 0) return false;
    row_line_ = line_;
    row_bytes_ = 0;
    cells_.clear();
    for (;;) {
      cells_.emplace_back();
      if (peek() == '"') {
        quoted_cell(cells_.back());
      } else {
        while (peek() >= 0 && peek() != delimiter_ && peek() != '\n' && peek() != '\r') add(cells_.back(), take());
      }
      const int c = take();
      if (c == '\r' && peek() == '\n') take();
      if (c != delimiter_) return true;
    }
  }

  void quoted_cell(std::string& cell) {
    const uint64_t opened = line_;
    take();
    for (;;) {
      const int c = take();
      if (c < 0) throw InputError("{}: a quoted field is never closed; close it or double the quotation marks inside", where(opened));
      if (c != '"') {
        add(cell, c);
      } else if (peek() == '"') {
        add(cell, take());
      } else {
        break;
      }
    }
    const int after = peek();
    if (after >= 0 && after != delimiter_ && after != '\n' && after != '\r')
      throw InputError("{}: text follows a closing quotation mark; double the quotation marks inside a quoted field", where(line_));
  }

  ByteReader bytes_;
  char delimiter_;
  std::string block_;
  size_t begin_ = 0, end_ = 0, row_bytes_ = 0;
  uint64_t line_ = 1, row_line_ = 1;
  std::vector<std::string> cells_, header_;
  std::vector<size_t> kept_;
};

}  // namespace

std::unique_ptr<Records> read_csv(const std::filesystem::path& path, const RecordsOptions& options, char delimiter) {
  return std::make_unique<CsvRecords>(path, options, delimiter);
}

}  // namespace tessera::data
