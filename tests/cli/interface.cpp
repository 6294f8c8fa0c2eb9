// Names of commands, options and fields are an interface: tests/cli/interface.txt lists them all. A line may be added; one that goes or
// changes breaks somebody's script. TESSERA_UPDATE=1 writes the file anew.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {
namespace {

using Json = nlohmann::ordered_json;

std::string type_of(const Json& property) {
  if (property.contains("enum")) {
    std::string words;
    for (const auto& word : property["enum"]) words += (words.empty() ? "" : "|") + word.get<std::string>();
    return words;
  }
  if (!property.contains("type")) return "constant";
  return property["type"].is_array() ? "list" : property["type"].get<std::string>();
}

// Every command with the keys of its recipes, which are its options; then the fields of the documents that need no model.
std::string interface_text() {
  std::ostringstream out;
  const auto schema = run_tessera({"recipes", "schema", "--json"}).json();
  for (const auto& one : schema["oneOf"]) {
    out << one["properties"]["command"]["const"].get<std::string>() << "\n";
    for (const auto& [name, property] : one["properties"].items())
      if (name != "command" && name != "version") out << "  --" << name << " " << type_of(property) << "\n";
  }
  for (const char* command : {"doctor", "env", "version"}) {
    out << command << " --json\n";
    const Json document = run_tessera({command, "--json"}).json();
    for (const auto& [field, value] : document.items())
      if (field != "variables") out << "  " << field << " " << value.type_name() << "\n";
  }
  return out.str();
}

TEST(Interface, IsTheOneThatScriptsKnow) {
  const std::string file = std::string(TESSERA_SOURCE_DIR) + "/tests/cli/interface.txt";
  const std::string text = interface_text();
  if (std::getenv("TESSERA_UPDATE") != nullptr) std::ofstream(file) << text;
  std::ifstream in(file);
  const std::string known(std::istreambuf_iterator<char>(in), {});
  EXPECT_EQ(text, known) << "run tests_cli with TESSERA_UPDATE=1 when a name was added; never rename one";
}

}  // namespace
}  // namespace tessera::cli_tests
