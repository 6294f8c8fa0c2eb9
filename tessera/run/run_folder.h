#pragma once
// One run's folder: recipe.toml, metrics.jsonl, log.txt, artifacts/, report.html, and a TensorBoard event file.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "tessera/run/metrics.h"

namespace tessera::run {

// What to do when the folder is there already and not empty.
enum class IfExists {
  refuse,   // InputError
  replace,  // remove what an earlier run left there (the names above, nothing else) and start anew
  resume,   // keep everything and append to metrics.jsonl and log.txt
};

struct RunFolderOptions {
  std::string name;                     // "shortgpt": the end of the folder's name; letters, digits, '-', '_', '.'; others become '-'
  std::filesystem::path out = {};       // the folder itself; empty: ROOT/YYYYMMDD-HHMMSS-NAME in local time, always a new one
  std::filesystem::path root = "runs";  // used when `out` is empty
  IfExists if_exists = IfExists::refuse;
};

class RunFolder {
 public:
  // Makes the folder with its artifacts/. Throws InputError when it is there and not empty (see IfExists) or a file is in its place, and
  // WorkError when it cannot be made.
  explicit RunFolder(const RunFolderOptions& options);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path report() const { return path_ / "report.html"; }
  // The path for an artifact: "scores.json" or "model/config.json"; its parent folder is made. Throws std::logic_error when `name` leads
  // out of artifacts/.
  std::filesystem::path artifact(const std::filesystem::path& name) const;

  // Writes recipe.toml, the resolved recipe as text, atomically.
  void write_recipe(std::string_view toml) const;
  // One line of log.txt: local time, then `line`; control characters are shown as escapes. Flushed.
  void log(std::string_view line);
  // metrics.jsonl and the event file, opened at the first use.
  Metrics& metrics();

 private:
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> log_;
  std::unique_ptr<Metrics> metrics_;
};

}  // namespace tessera::run
