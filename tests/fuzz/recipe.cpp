// Any bytes as a recipe: settings or an InputError. What is written of the settings reads back as the same settings.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tessera/base/error.h"
#include "tessera/run/command.h"
#include "tessera/run/recipe.h"

namespace {

using namespace tessera::run;

struct Settings {
  std::string text = "a";
  int64_t layers = 3;
  double rate = 0.5;
  bool tied = false;
  std::vector<std::string> names;
  std::optional<double> ratio;
};

const std::vector<OptionRow>& rows() {
  static const auto all = with_program_options(OptionTable<Settings>()
                                                   .text("text", &Settings::text, "some text")
                                                   .number("layers", &Settings::layers, Range{1, 1000}, "how many")
                                                   .number("train.lr", &Settings::rate, Range{0, 1}, "learning rate")
                                                   .flag("tied", &Settings::tied, "tie the head")
                                                   .list("names", &Settings::names, "names")
                                                   .number("ratio", &Settings::ratio, Range{0, 1}, "share")
                                                   .rows());
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const Recipe recipe = parse_recipe(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz.toml");
    const std::string written = write_recipe("train", rows(), recipe_options(recipe, rows(), "train"));
    const Recipe again = parse_recipe(written, "again.toml");
    if (write_recipe("train", rows(), recipe_options(again, rows(), "train")) != written) std::abort();
  } catch (const tessera::InputError& error) {
    if (std::string_view(error.what()).starts_with("again.toml")) std::abort();
  }
  return 0;
}
