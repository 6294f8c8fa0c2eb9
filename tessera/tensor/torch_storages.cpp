#include "tessera/tensor/torch_storages.h"

#include <zip.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "tessera/base/error.h"

namespace tessera::tensor {
namespace {

constexpr uint64_t max_pickle_bytes = uint64_t{1} << 28;

struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};
using ZipEntry = std::unique_ptr<zip_file_t, CloseEntry>;

class TorchZip final : public TorchStorages {
 public:
  explicit TorchZip(Bytes bytes) : bytes_(std::move(bytes)) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(bytes_.view.data(), bytes_.size(), 0, &error);
    archive_ = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
    if (archive_ == nullptr) {
      const std::string why = zip_error_strerror(&error);
      zip_error_fini(&error);
      if (source != nullptr) zip_source_free(source);
      throw InputError("{} is a broken zip archive: {}; copy it again", bytes_.name, tessera::quoted(why));
    }
    zip_error_fini(&error);
    try {
      list_entries();
    } catch (...) {
      zip_discard(archive_);
      throw;
    }
  }
  ~TorchZip() override { zip_discard(archive_); }
  TorchZip(const TorchZip&) = delete;
  TorchZip& operator=(const TorchZip&) = delete;

  std::span<const std::byte> pickle() const override { return pickle_; }

  size_t find(std::string_view key, uint64_t bytes) const override {
    const auto found = entries_.find(prefix_ + "data/" + std::string(key));
    if (found == entries_.end())
      throw InputError("{}: the data of storage {} are missing; copy it again", bytes_.name, tessera::quoted(key));
    if (found->second.bytes < bytes) {
      throw InputError("{}: storage {} has {} bytes, its tensors need {}; copy it again", bytes_.name, tessera::quoted(key),
                       found->second.bytes, bytes);
    }
    return found->second.index;
  }

  void read(size_t storage, uint64_t begin, std::span<std::byte> to) const override {
    const std::lock_guard lock(mutex_);
    read_entry(storage, begin, to);
  }

 private:
  struct Entry {
    zip_uint64_t index;
    uint64_t bytes;
  };

  void list_entries() {
    const zip_int64_t count = zip_get_num_entries(archive_, 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      zip_stat_t status;
      zip_stat_init(&status);
      constexpr zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
      if (zip_stat_index(archive_, static_cast<zip_uint64_t>(i), 0, &status) != 0 || (status.valid & needed) != needed) continue;
      const std::string name = status.name;
      if (name.empty() || name.back() == '/') continue;
      if (status.comp_method != ZIP_CM_STORE || status.size != status.comp_size || status.size > bytes_.size()) {
        throw InputError("{}: entry {} is compressed or larger than the file; torch.save stores it plainly, save it again", bytes_.name,
                         tessera::quoted(name));
      }
      if (!entries_.emplace(name, Entry{static_cast<zip_uint64_t>(i), status.size}).second) {
        throw InputError("{} holds entry {} twice; copy it again", bytes_.name, tessera::quoted(name));
      }
    }
    find_pickle();
  }

  void find_pickle() {
    constexpr std::string_view pickle_name = "data.pkl";
    const auto is_pickle = [&](const auto& e) {
      return e.first == pickle_name || (e.first.ends_with("/data.pkl") && std::ranges::count(e.first, '/') == 1);
    };
    const auto found = std::ranges::find_if(entries_, is_pickle);
    if (found == entries_.end() || std::ranges::count_if(entries_, is_pickle) != 1) {
      throw InputError("{} is a zip archive, but not one of torch.save: it has no single data.pkl; give a .pt or .pth file", bytes_.name);
    }
    prefix_ = found->first.substr(0, found->first.size() - pickle_name.size());
    if (entries_.contains(prefix_ + "constants.pkl")) {
      throw InputError("{} is a TorchScript program, which is not read; save its state_dict() with torch.save", bytes_.name);
    }
    if (const auto order = entries_.find(prefix_ + "byteorder"); order != entries_.end() && whole(order->second, 16) != "little") {
      throw InputError("{} was saved on a big-endian machine; save it again on another", bytes_.name);
    }
    pickle_text_ = whole(found->second, max_pickle_bytes);
    pickle_ = std::as_bytes(std::span(pickle_text_));
  }

  std::string whole(const Entry& entry, uint64_t limit) const {
    if (entry.bytes > limit)
      throw InputError("{}: its description has {} bytes, at most {} are read; save only its state_dict()", bytes_.name, entry.bytes,
                       limit);
    std::string text(entry.bytes, '\0');
    read_entry(entry.index, 0, std::as_writable_bytes(std::span(text)));
    return text;
  }

  void read_entry(zip_uint64_t index, uint64_t begin, std::span<std::byte> to) const {
    const ZipEntry entry(zip_fopen_index(archive_, index, 0));
    uint64_t done = 0;
    bool good = entry != nullptr && (begin == 0 || zip_fseek(entry.get(), static_cast<zip_int64_t>(begin), SEEK_SET) == 0);
    while (good && done < to.size()) {
      const zip_int64_t got = zip_fread(entry.get(), to.data() + done, to.size() - done);
      good = got > 0;
      done += good ? static_cast<uint64_t>(got) : 0;
    }
    if (!good) throw InputError("{}: an entry of the archive cannot be read, it is damaged; copy it again", bytes_.name);
  }

  Bytes bytes_;
  zip_t* archive_ = nullptr;
  std::unordered_map<std::string, Entry> entries_;
  std::string prefix_, pickle_text_;
  std::span<const std::byte> pickle_;
  mutable std::mutex mutex_;  // libzip's handle is for one thread
};

class TorchStream final : public TorchStorages {
 public:
  TorchStream(Bytes bytes, std::span<const std::byte> pickle, std::vector<StorageRun> runs)
      : bytes_(std::move(bytes)), pickle_(pickle), runs_(std::move(runs)) {
    for (size_t i = 0; i < runs_.size(); ++i) index_.emplace(runs_[i].key, i);
  }
  std::span<const std::byte> pickle() const override { return pickle_; }
  size_t find(std::string_view key, uint64_t bytes) const override {
    const auto found = index_.find(std::string(key));
    if (found == index_.end() || runs_[found->second].bytes < bytes) {
      throw InputError("{}: the data of storage {} are missing or too short; copy it again", bytes_.name, tessera::quoted(key));
    }
    return found->second;
  }
  void read(size_t storage, uint64_t begin, std::span<std::byte> to) const override {
    std::memcpy(to.data(), bytes_.view.data() + runs_[storage].begin + begin, to.size());
  }

 private:
  Bytes bytes_;
  std::span<const std::byte> pickle_;
  std::vector<StorageRun> runs_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace

bool is_zip(const Bytes& bytes) { return bytes.size() >= 4 && std::memcmp(bytes.view.data(), "PK\3\4", 4) == 0; }

std::shared_ptr<const TorchStorages> open_torch_zip(Bytes bytes) { return std::make_shared<TorchZip>(std::move(bytes)); }

std::shared_ptr<const TorchStorages> torch_stream_storages(Bytes bytes, std::span<const std::byte> pickle, std::vector<StorageRun> runs) {
  return std::make_shared<TorchStream>(std::move(bytes), pickle, std::move(runs));
}

}  // namespace tessera::tensor
