#pragma once
// One reader a format; open_records chooses. Each throws InputError when the file cannot be opened.

#include <filesystem>
#include <memory>

#include "tessera/data/records.h"

namespace tessera::data {

std::unique_ptr<Records> read_jsonl(const std::filesystem::path& path, const RecordsOptions& options);
// RFC 4180 with a header line: quoted fields may hold delimiters, line ends and doubled quotes. Empty lines are passed over.
std::unique_ptr<Records> read_csv(const std::filesystem::path& path, const RecordsOptions& options, char delimiter);
std::unique_ptr<Records> read_txt(const std::filesystem::path& path, const RecordsOptions& options);
// InputError that says how to get a reader when this build has none.
std::unique_ptr<Records> read_parquet(const std::filesystem::path& path, const RecordsOptions& options);

// InputError unless every column of `wanted` is among `there`.
void check_columns(const std::string& where, const std::vector<std::string>& wanted, const std::vector<std::string>& there);

}  // namespace tessera::data
