#include "tessera/run/run_folder.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/base/files.h"

namespace tessera::run {

namespace fs = std::filesystem;

namespace {

std::string local_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

std::string folder_name(std::string name) {
  constexpr std::string_view kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  for (char& c : name)
    if (kept.find(c) == std::string_view::npos) c = '-';
  return name;
}

bool left_by_a_run(const fs::path& entry) {
  const std::string name = entry.filename().string();
  for (const char* own : {"recipe.toml", "metrics.jsonl", "log.txt", "artifacts", "report.html"})
    if (name == own) return true;
  return name.rfind("events.out.tfevents.", 0) == 0;
}

void remove_what_a_run_left(const fs::path& folder) {
  std::vector<fs::path> own;
  for (const auto& entry : fs::directory_iterator(folder))
    if (left_by_a_run(entry.path())) own.push_back(entry.path());
  for (const fs::path& path : own) fs::remove_all(path);
}

// A new folder under `root`: two runs of one second get different ones, since create_directory says who made it.
fs::path make_new_folder(const fs::path& root, const std::string& name) {
  fs::create_directories(root);
  const std::string stem = local_time("%Y%m%d-%H%M%S-") + folder_name(name);
  for (int n = 1;; ++n) {
    fs::path path = root / (n == 1 ? stem : fmt::format("{}-{}", stem, n));
    if (fs::create_directory(path)) return path;
  }
}

void make_named_folder(const fs::path& path, IfExists if_exists) {
  if (fs::exists(path) && !fs::is_directory(path))
    throw InputError("--out {}: a file has that name; give a folder", tessera::quoted(path.string()));
  fs::create_directories(path);
  if (fs::is_empty(path)) return;
  if (if_exists == IfExists::refuse)
    throw InputError("--out {}: the folder is not empty; give a new one, or --force to replace an earlier run",
                     tessera::quoted(path.string()));
  if (if_exists == IfExists::replace) remove_what_a_run_left(path);
}

}  // namespace

RunFolder::RunFolder(const RunFolderOptions& options) : log_(nullptr, std::fclose) {
  try {
    path_ = options.out;
    if (path_.empty())
      path_ = make_new_folder(options.root, options.name);
    else
      make_named_folder(path_, options.if_exists);
    fs::create_directories(path_ / "artifacts");
  } catch (const fs::filesystem_error& error) {
    throw WorkError("cannot make the run folder {}: {}; choose another --out",
                    tessera::quoted(path_.empty() ? options.root.string() : path_.string()), error.code().message());
  }
}

fs::path RunFolder::artifact(const fs::path& name) const {
  fs::path path = (path_ / "artifacts" / name).lexically_normal();
  const fs::path inside = name.lexically_normal();
  if (name.empty() || name.is_absolute() || inside == "." || *inside.begin() == "..")
    throw std::logic_error("artifact " + name.string() + " is not inside artifacts/");
  std::error_code failed;
  fs::create_directories(path.parent_path(), failed);
  if (failed) throw WorkError("cannot make {}: {}; free some disk space", tessera::quoted(path.parent_path().string()), failed.message());
  return path;
}

void RunFolder::write_recipe(std::string_view toml) const { write_file(path_ / "recipe.toml", toml); }

void RunFolder::log(std::string_view line) {
  const fs::path path = path_ / "log.txt";
  if (!log_) log_.reset(std::fopen(path.c_str(), "ab"));
  const std::string text = fmt::format("{} {}\n", local_time("%Y-%m-%d %H:%M:%S"), tessera::quoted(line, line.size()));
  if (!log_ || std::fwrite(text.data(), 1, text.size(), log_.get()) != text.size() || std::fflush(log_.get()) != 0)
    throw WorkError("cannot write {}: {}; free some disk space", tessera::quoted(path.string()), std::strerror(errno));
}

Metrics& RunFolder::metrics() {
  if (!metrics_) metrics_ = std::make_unique<Metrics>(path_);
  return *metrics_;
}

}  // namespace tessera::run
