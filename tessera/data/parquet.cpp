#include "tessera/base/error.h"
#include "tessera/data/record_readers.h"

#ifdef TESSERA_HAS_PARQUET
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>

#include <limits>
#include <utility>

namespace tessera::data {
namespace {

// Arrow's words in one line: some of its messages end in a line break.
std::string said(std::string_view message) {
  while (message.ends_with('\n')) message.remove_suffix(1);
  return tessera::quoted(message, 200);
}

// A cell of any column type that has a plain value here; nested ones other than lists of texts as their JSON-like text.
Value cell_value(const arrow::Array& column, int64_t i) {
  if (column.IsNull(i)) return std::monostate{};
  const auto integer = [&]<class A>(std::type_identity<A>) { return static_cast<int64_t>(static_cast<const A&>(column).Value(i)); };
  switch (column.type_id()) {
    case arrow::Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(column).Value(i);
    case arrow::Type::INT8:
      return integer(std::type_identity<arrow::Int8Array>());
    case arrow::Type::INT16:
      return integer(std::type_identity<arrow::Int16Array>());
    case arrow::Type::INT32:
      return integer(std::type_identity<arrow::Int32Array>());
    case arrow::Type::INT64:
      return integer(std::type_identity<arrow::Int64Array>());
    case arrow::Type::UINT8:
      return integer(std::type_identity<arrow::UInt8Array>());
    case arrow::Type::UINT16:
      return integer(std::type_identity<arrow::UInt16Array>());
    case arrow::Type::UINT32:
      return integer(std::type_identity<arrow::UInt32Array>());
    case arrow::Type::UINT64: {
      const uint64_t value = static_cast<const arrow::UInt64Array&>(column).Value(i);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return static_cast<double>(value);
      return static_cast<int64_t>(value);
    }
    case arrow::Type::FLOAT:
      return static_cast<double>(static_cast<const arrow::FloatArray&>(column).Value(i));
    case arrow::Type::DOUBLE:
      return static_cast<const arrow::DoubleArray&>(column).Value(i);
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return std::string(static_cast<const arrow::BinaryArray&>(column).GetView(i));
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return std::string(static_cast<const arrow::LargeBinaryArray&>(column).GetView(i));
    default:
      break;
  }
  const auto scalar = column.GetScalar(i);
  if (!scalar.ok()) throw InputError("a Parquet cell cannot be read: {}", said(scalar.status().message()));
  const auto* list = dynamic_cast<const arrow::BaseListScalar*>(scalar->get());
  if (list && (list->value->type_id() == arrow::Type::STRING || list->value->type_id() == arrow::Type::LARGE_STRING)) {
    std::vector<std::string> texts;
    for (int64_t k = 0; k < list->value->length(); ++k) {
      const Value text = cell_value(*list->value, k);
      texts.push_back(std::holds_alternative<std::string>(text) ? std::get<std::string>(text) : "");
    }
    return texts;
  }
  const bool nested = arrow::is_nested(column.type_id());
  return nested ? Value(Json{(*scalar)->ToString()}) : Value((*scalar)->ToString());
}

class ParquetRecords : public Records {
 public:
  ParquetRecords(const std::filesystem::path& path, const RecordsOptions& options) : name_(path.string()) {
    auto file = arrow::io::ReadableFile::Open(name_);
    if (!file.ok()) throw InputError("{} cannot be opened: {}; check the path", name_, said(file.status().message()));
    refusing("is no whole Parquet file", [&] { open(*file, options); });
  }

  bool next(Row& row) override {
    while (!batch_ || at_ == batch_->num_rows()) {
      refusing("is damaged", [&] { check(batches_->ReadNext(&batch_)); });
      if (!batch_) return ended();
      at_ = 0;
    }
    if (row_ == promised()) throw InputError("{} goes on after row {}, its last by the footer; copy the file again", name_, row_);
    row.where = fmt::format("{}, row {}", name_, ++row_);
    row.fields.clear();
    refusing("is damaged", [&] {
      for (const int column : kept_) row.fields.emplace_back(batch_->column_name(column), cell_value(*batch_->column(column), at_));
    });
    ++at_;
    return true;
  }

  uint64_t skip(uint64_t rows) override {
    const auto left = promised() - row_;
    if (rows < left) return Records::skip(rows);
    row_ += left;  // the footer knows: nothing is read
    batch_.reset();
    batches_ = std::make_shared<arrow::TableBatchReader>(empty_);
    return left;
  }

 private:
  // Rows as the footer has them.
  uint64_t promised() const { return static_cast<uint64_t>(reader_->parquet_reader()->metadata()->num_rows()); }
  bool ended() const {
    if (row_ != promised()) throw InputError("{} ends after row {} of {}; copy the file again", name_, row_, promised());
    return false;
  }

  // Arrow answers damage with a status, with its own exception and, here and there, with one of the standard library's.
  template <class Work>
  void refusing(std::string_view problem, const Work& work) const {
    try {
      work();
    } catch (const InputError&) {
      throw;
    } catch (const std::exception& error) {
      throw InputError("{} {}: {}; copy it again", name_, problem, said(error.what()));
    }
  }

  void check(const arrow::Status& status) const {
    if (!status.ok()) throw InputError("{}, after row {}: {}; copy the file again", name_, row_, said(status.message()));
  }

  void open(const std::shared_ptr<arrow::io::ReadableFile>& file, const RecordsOptions& options) {
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(file));
    builder.properties(properties());
    auto reader = builder.Build();
    check(reader.status());
    reader_ = std::move(*reader);
    const int64_t rows = reader_->parquet_reader()->metadata()->num_rows();
    if (rows < 0) throw InputError("{} has {} rows by its footer; copy the file again", name_, rows);
    std::shared_ptr<arrow::Schema> schema;
    check(reader_->GetSchema(&schema));
    check_columns(name_, options.columns, schema->field_names());
    auto batches =
        options.columns.empty() ? reader_->GetRecordBatchReader() : reader_->GetRecordBatchReader(row_groups(), leaves(options.columns));
    check(batches.status());
    batches_ = std::move(*batches);
    empty_ = *arrow::Table::MakeEmpty(batches_->schema());
    for (const std::string& column : options.columns) {
      kept_.push_back(batches_->schema()->GetFieldIndex(column));
      if (kept_.back() < 0) throw InputError("{} has several columns {}; give the file names of their own", name_, tessera::quoted(column));
    }
    if (options.columns.empty())
      for (int i = 0; i < batches_->schema()->num_fields(); ++i) kept_.push_back(i);
  }

  static parquet::ArrowReaderProperties properties() {
    parquet::ArrowReaderProperties properties;
    properties.set_batch_size(1024);
    properties.set_pre_buffer(false);
    return properties;
  }
  std::vector<int> row_groups() const {
    std::vector<int> all(static_cast<size_t>(reader_->num_row_groups()));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    return all;
  }
  // The leaf columns below the named top-level ones.
  std::vector<int> leaves(const std::vector<std::string>& names) const {
    const parquet::SchemaDescriptor& schema = *reader_->parquet_reader()->metadata()->schema();
    std::vector<int> found;
    for (int i = 0; i < schema.num_columns(); ++i)
      for (const std::string& name : names)
        if (schema.GetColumnRoot(i)->name() == name) found.push_back(i);
    return found;
  }

  std::string name_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::shared_ptr<arrow::Table> empty_;
  std::vector<int> kept_;
  int64_t at_ = 0;
  uint64_t row_ = 0;
};

}  // namespace

std::unique_ptr<Records> read_parquet(const std::filesystem::path& path, const RecordsOptions& options) {
  return std::make_unique<ParquetRecords>(path, options);
}

}  // namespace tessera::data

#else

namespace tessera::data {

std::unique_ptr<Records> read_parquet(const std::filesystem::path& path, const RecordsOptions&) {
  throw InputError(
      "{}: this build has no Parquet reader; install the wheel pyarrow into .venv (or give -DTESSERA_PYARROW=DIR) and build again, or "
      "convert the file to jsonl",
      path.string());
}

}  // namespace tessera::data
#endif
