#pragma once
// The checkpoints of a run folder: checkpoint-<step>/ and the symbolic link `latest`, which moves only after a save is complete and on the
// disk. A kill at any moment, a full disk or a read-only folder leave the last good one as it is.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

namespace tessera::train {

class Checkpoints {
 public:
  // `run`: the run's folder. `keep`: how many checkpoints stay, 1 and up; 0: all.
  Checkpoints(std::filesystem::path run, int64_t keep);

  // Lets `write` fill a new folder, flushes it, renames it to checkpoint-<step>, moves `latest` to it and removes the oldest beyond `keep`.
  // A checkpoint of that step is replaced. Throws WorkError in one line that names the last good checkpoint when anything fails.
  std::filesystem::path save(int64_t step, const std::function<void(const std::filesystem::path& folder)>& write);

  // What `latest` points to; without such a link the checkpoint with the highest step; nothing when there is none.
  std::optional<std::filesystem::path> latest() const;

  // Removes the temporary folders that a killed save left. Only while no other process saves into the folder.
  void remove_torn();

 private:
  void point_latest(const std::filesystem::path& checkpoint) const;
  void remove_oldest(const std::filesystem::path& newest) const;

  std::filesystem::path run_;
  int64_t keep_;
};

}  // namespace tessera::train
