#include <optional>

#include "tessera/base/error.h"
#include "tessera/data/input.h"
#include "tessera/data/prose.h"
#include "tessera/data/record_readers.h"

namespace tessera::data {
namespace {

class TxtRecords : public Records {
 public:
  TxtRecords(const std::filesystem::path& path, const RecordsOptions& options) : path_(path), unit_(options.text_unit) {
    check_columns(path.string(), options.columns, {"text"});
    if (unit_ != TextUnit::file) lines_.emplace(path);
  }

  bool next(Row& row) override {
    std::string text;
    if (!read(text, row.where)) return false;
    row.fields.clear();
    row.fields.emplace_back("text", to_utf8(text));
    return true;
  }

 private:
  bool read(std::string& text, std::string& where) {
    if (unit_ == TextUnit::file) {
      if (done_) return false;
      done_ = true;
      text = read_text(path_);
      where = path_.string();
      return true;
    }
    std::string line;
    while (lines_->next(line)) {
      const bool blank = line.find_first_not_of(" \t\f") == std::string::npos;
      if (blank && text.empty()) continue;
      if (blank) return true;
      if (text.empty()) where = fmt::format("{}:{}", path_.string(), lines_->number());
      text += (text.empty() ? "" : "\n") + line;
      if (unit_ == TextUnit::line) return true;
    }
    return !text.empty();
  }

  std::filesystem::path path_;
  TextUnit unit_;
  std::optional<LineReader> lines_;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<Records> read_txt(const std::filesystem::path& path, const RecordsOptions& options) {
  return std::make_unique<TxtRecords>(path, options);
}

}  // namespace tessera::data
