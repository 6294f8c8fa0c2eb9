#include "tessera/train/parallel/host_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <random>

namespace tessera::train {

namespace {

// Stands behind the segment: tells it from a file of another process that has the same number on another host or in another container.
constexpr int64_t kSealBytes = 64;

class File {
 public:
  explicit File(int number) : number_(number) {}
  ~File() {
    if (number_ >= 0) close(number_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

// The same on all ranks, drawn by rank 0.
int64_t draw_seal(Collective& ranks) {
  std::random_device source;
  const auto seal = torch::tensor({static_cast<int64_t>((uint64_t{source()} << 32 | source()) | 1U)}, torch::kInt64);
  ranks.broadcast(seal, 0);
  return seal.item<int64_t>();
}

bool all_agree(Collective& ranks, bool here) {
  const auto votes = torch::tensor({here ? int64_t{1} : int64_t{0}}, torch::kInt64);
  ranks.all_reduce(votes);
  return votes.item<int64_t>() == ranks.size();
}

}  // namespace

bool HostMemory::map(int64_t rank, int file) {
  struct stat about {};
  const int64_t whole = bytes_ + kSealBytes;
  if (file < 0 || fstat(file, &about) != 0 || about.st_size != whole) return false;
  void* begin = mmap(nullptr, static_cast<size_t>(whole), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (begin == MAP_FAILED) return false;
  segments_[static_cast<size_t>(rank)] = static_cast<std::byte*>(begin);
  return true;
}

std::shared_ptr<HostMemory> HostMemory::open(Collective& ranks, int64_t bytes) {
  std::shared_ptr<HostMemory> memory(new HostMemory(ranks.size(), bytes));
  const int64_t seal = draw_seal(ranks);
  const File own(memfd_create("tessera", MFD_CLOEXEC));
  bool good = own.number() >= 0 && ftruncate(own.number(), bytes + kSealBytes) == 0 && memory->map(ranks.rank(), own.number());
  if (good) std::memcpy(memory->of(ranks.rank()) + bytes, &seal, sizeof seal);
  std::vector<torch::Tensor> files;  // of each rank: its process and the file's number there
  for (int64_t r = 0; r < ranks.size(); ++r) files.push_back(torch::tensor({int64_t{getpid()}, int64_t{own.number()}}, torch::kInt64));
  ranks.all_gather(files);
  for (int64_t r = 0; good && r < ranks.size(); ++r) {
    if (r == ranks.rank()) continue;
    const auto* at = files[static_cast<size_t>(r)].const_data_ptr<int64_t>();
    const File theirs(::open(fmt::format("/proc/{}/fd/{}", at[0], at[1]).c_str(), O_RDWR | O_CLOEXEC));
    good = memory->map(r, theirs.number()) && std::memcmp(memory->of(r) + bytes, &seal, sizeof seal) == 0;
  }
  return all_agree(ranks, good) ? memory : nullptr;  // all have opened all: the files may be closed
}

HostMemory::~HostMemory() {
  for (auto* segment : segments_)
    if (segment != nullptr) munmap(segment, static_cast<size_t>(bytes_ + kSealBytes));
}

}  // namespace tessera::train
