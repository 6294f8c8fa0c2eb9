#include "tessera/train/checkpoints.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

#include "tessera/base/error.h"
#include "tessera/base/files.h"

namespace tessera::train {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kCheckpointPrefix = "checkpoint-";

std::optional<int64_t> step_of_checkpoint(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kCheckpointPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + kCheckpointPrefix.size(), end, step);
  if (error != std::errc() || at != end || step < 0) return std::nullopt;
  return step;
}

// Complete checkpoints by step: a folder has its name only after it is complete.
std::vector<std::pair<int64_t, fs::path>> complete_checkpoints(const fs::path& run) {
  std::vector<std::pair<int64_t, fs::path>> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run, error))
    if (const auto step = step_of_checkpoint(entry.path()); step && entry.is_directory() && !entry.is_symlink())
      all.emplace_back(*step, entry.path());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

Checkpoints::Checkpoints(fs::path run, int64_t keep) : run_(std::move(run)), keep_(keep) {}

fs::path Checkpoints::save(int64_t step, const std::function<void(const fs::path& folder)>& write) {
  fs::path path = run_ / fmt::format("{}{}", kCheckpointPrefix, step);
  try {
    AtomicFolder folder(path, true);
    write(folder.folder());
    folder.commit();
    point_latest(path);
  } catch (const std::exception& error) {
    const auto good = latest();
    std::string what = error.what();
    what = what.substr(0, what.find('\n'));
    if (const auto hint = what.rfind("; "); hint != std::string::npos) what.resize(hint);
    throw WorkError("{} was not saved: {}; {}", path.filename().string(), what,
                    good ? fmt::format("{} is intact: free some space and resume from it", good->string())
                         : std::string("no earlier checkpoint exists: give a folder with space that can be written"));
  }
  remove_oldest(path);
  return path;
}

void Checkpoints::point_latest(const fs::path& checkpoint) const {
  const fs::path fresh = run_ / fmt::format(".latest.{}.tmp", ::getpid());
  ::unlink(fresh.c_str());
  if (::symlink(checkpoint.filename().c_str(), fresh.c_str()) != 0 || ::rename(fresh.c_str(), (run_ / "latest").c_str()) != 0)
    throw WorkError("{} cannot be moved: {}", (run_ / "latest").string(), std::strerror(errno));
  const int folder = ::open(run_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

// Renames before it removes: a kill in between leaves no half checkpoint under a checkpoint's name.
void Checkpoints::remove_oldest(const fs::path& newest) const {
  if (keep_ < 1) return;
  auto all = complete_checkpoints(run_);
  std::erase_if(all, [&](const auto& each) { return each.second == newest; });
  for (size_t i = 0; i + static_cast<size_t>(keep_ - 1) < all.size(); ++i) {
    const fs::path gone = run_ / fmt::format(".{}.{}.tmp", all[i].second.filename().string(), ::getpid());
    std::error_code error;
    fs::rename(all[i].second, gone, error);
    if (!error) fs::remove_all(gone, error);
  }
}

std::optional<fs::path> Checkpoints::latest() const {
  std::error_code error;
  const fs::path target = fs::read_symlink(run_ / "latest", error);
  if (!error && fs::is_directory(run_ / target.filename(), error)) return run_ / target.filename();
  const auto all = complete_checkpoints(run_);
  if (all.empty()) return std::nullopt;
  return all.back().second;
}

void Checkpoints::remove_torn() {
  std::vector<fs::path> torn;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".tmp") && (name.starts_with(".checkpoint-") || name.starts_with("..checkpoint-") || name.starts_with(".latest.")))
      torn.push_back(entry.path());
  }
  for (const auto& path : torn) fs::remove_all(path, error);
}

}  // namespace tessera::train
