#include "tessera/train/parallel/gpu_choice.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string_view>

#include "tessera/base/error.h"

namespace tessera::train {

int64_t host_number() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return static_cast<int64_t>(std::hash<std::string_view>()(host.data()));
}

std::vector<int64_t> choose_gpus(const std::vector<VisibleGpus>& ranks) {
  std::vector<int64_t> chosen;
  std::set<int64_t> taken;
  for (const auto& [host, gpus] : ranks) {
    const auto own = std::find_if(gpus.begin(), gpus.end(), [&](int64_t gpu) { return !taken.contains(gpu); });
    if (own == gpus.end()) {
      std::set<int64_t> there;
      int64_t beside = 0;
      for (const auto& other : ranks) {
        if (other.host != host) continue;
        ++beside;
        there.insert(other.gpus.begin(), other.gpus.end());
      }
      throw InputError("rank {} finds no GPU of its own: {} ranks share {} GPUs on its host; start at most one rank a GPU", chosen.size(),
                       beside, there.size());
    }
    taken.insert(*own);
    chosen.push_back(own - gpus.begin());
  }
  return chosen;
}

}  // namespace tessera::train
