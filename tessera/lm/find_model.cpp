#include <cstdlib>
#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/load.h"

namespace tessera::lm {

namespace fs = std::filesystem;

static fs::path hub_cache() {
  const auto from = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const auto cache = from("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const auto home = from("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  return fs::path(from("HOME")) / ".cache" / "huggingface" / "hub";
}

static bool hub_word(std::string_view word) {  // one part of org/name, or a commit: no way out of the cache
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
  };
  return !word.empty() && word != "." && word != ".." && std::all_of(word.begin(), word.end(), plain);
}

// The snapshot of org/name[@revision] in the cache; empty when `name` is no such name.
static fs::path find_in_hub(std::string_view name) {
  const auto at = name.find('@'), slash = name.find('/');
  const auto repository = name.substr(0, at);
  const std::string revision(at == std::string_view::npos ? "main" : name.substr(at + 1));
  if (slash == std::string_view::npos || repository.find('/', slash + 1) != std::string_view::npos) return {};
  const std::string org(repository.substr(0, slash)), model(repository.substr(slash + 1));
  if (!hub_word(org) || !hub_word(model) || !hub_word(revision)) return {};
  const auto folder = hub_cache() / fmt::format("models--{}--{}", org, model);
  if (!fs::is_directory(folder)) {
    throw InputError("{} is neither a path nor in the Hugging Face cache ({}); give a model folder or a .gguf file", tessera::quoted(name),
                     hub_cache().string());
  }
  auto commit = revision;
  if (fs::is_regular_file(folder / "refs" / revision)) {
    commit = read_file(folder / "refs" / revision, 4096);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == ' ')) commit.pop_back();
  }
  if (!hub_word(commit) || !fs::is_directory(folder / "snapshots" / commit)) {
    throw InputError("{} has no revision {} in {}; download it first", tessera::quoted(repository), tessera::quoted(revision),
                     folder.string());
  }
  return folder / "snapshots" / commit;
}

fs::path find_model(std::string_view name) {
  if (name.empty()) throw InputError("the model's name is empty; give a model folder, a .gguf file or org/name");
  fs::path path(name);
  std::error_code ignored;
  if (fs::exists(path, ignored)) return path;
  if (auto snapshot = find_in_hub(name); !snapshot.empty()) return snapshot;
  throw InputError("there is no {}; give a model folder, a .gguf file, or org/name from the Hugging Face cache",
                   tessera::quoted(name, 200));
}

}  // namespace tessera::lm
