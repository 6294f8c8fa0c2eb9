// list, doctor, env, version: what this program and this machine are.

#include <fmt/ranges.h>
#include <torch/version.h>

#include "tessera/app/commands.h"
#include "tessera/app/machine.h"
#include "tessera/base/progress.h"
#include "tessera/methods/methods.h"
#include "tessera/run/installed.h"
#include "tessera/run/options_help.h"

namespace tessera::app {

namespace {

using Json = nlohmann::ordered_json;

struct NoOptions {};

Json list_document() {
  Json all = Json::array();
  for (const auto& method : methods()) {
    Json commands = Json::array();
    for (const auto& command : method.commands) commands.push_back({{"name", command.name}, {"help", command.help}});
    all.push_back({{"slug", method.slug},
                   {"title", method.title},
                   {"paper", method.paper},
                   {"use", method.use},
                   {"commands", commands},
                   {"columns",
                    {{"useful", method.columns.useful},
                     {"faithful", method.columns.faithful},
                     {"proven", method.columns.proven},
                     {"fast", method.columns.fast}}}});
  }
  return all;
}

void list_methods(const NoOptions&, run::Context& context) {
  for (const auto& method : methods()) {
    std::vector<std::pair<std::string, std::string>> commands;
    for (const auto& command : method.commands) commands.emplace_back(command.name, command.help);
    context.line("{}  {}, {}\n  {}\n{}", method.slug, method.title, method.paper, run::wrap(method.use, 96, 2),
                 run::two_columns(commands, 12, 4));
  }
  context.line("{} method{}; tessera METHOD COMMAND --help shows the options", methods().size(), methods().size() == 1 ? "" : "s");
  context.result(list_document());
}

void doctor(const NoOptions&, run::Context& context) {
  const Json machine = machine_document();
  const auto text = [&](const char* key) { return machine[key].get<std::string>(); };
  context.line("cpu               {}", text("cpu"));
  context.line("threads           {}", machine["threads"].get<int>());
  context.line("memory            {}", short_bytes(machine["memory_bytes"].get<double>()));
  context.line("instruction sets  {}", fmt::join(machine["instruction_sets"].get<std::vector<std::string>>(), ", "));
  context.line("float32 products  {}", text("float_products"));
  context.line("LibTorch          {}", text("libtorch"));
  for (const auto& device : machine["devices"]) context.line("device            {}", device["name"].get<std::string>());
  context.line("environment       {}", text("environment"));
  context.line("cache             {}", text("cache"));
  context.line("models");
  for (const auto& model : machine["models"])
    context.line("  {:<16}{}: {}", model["name"].get<std::string>(), model["title"].get<std::string>(),
                 model["installed"].get<bool>() ? "installed" : "not installed");
  context.result(machine);
}

void print_environment(const NoOptions&, run::Context& context) {
  Json document = machine_document();
  document.erase("models");
  document["libtorch_config"] = torch::show_config();
  for (const char* name : {"TESSERA_HOME", "TESSERA_VENV", "TESSERA_CACHE", "HF_HOME", "HF_HUB_CACHE", "OMP_NUM_THREADS"}) {
    const char* value = std::getenv(name);
    if (value != nullptr) document["variables"][name] = value;
  }
  for (const auto& [key, value] : document.items())
    if (key != "libtorch_config") context.line("{}: {}", key, value.is_string() ? value.get<std::string>() : value.dump());
  context.result(document);
}

void print_version(const NoOptions&, run::Context& context) {
  context.line("tessera {} (LibTorch {})", TESSERA_VERSION, TORCH_VERSION);
  context.result({{"version", TESSERA_VERSION}, {"libtorch", TORCH_VERSION}});
}

run::OptionTable<NoOptions> list_options() {
  return run::OptionTable<NoOptions>()
      .example("tessera list", "every method with its commands")
      .example("tessera list --json", "the same for a script")
      .example("tessera list --out methods.txt", "keep a copy");
}
run::OptionTable<NoOptions> doctor_options() {
  return run::OptionTable<NoOptions>()
      .example("tessera doctor", "what this machine offers, which models are installed")
      .example("tessera doctor --json", "the same for a script")
      .example("tessera doctor --device cuda", "fail with exit code 2 when there is no GPU to use");
}
run::OptionTable<NoOptions> env_options() {
  return run::OptionTable<NoOptions>()
      .example("tessera env", "what a report of a mistake should contain")
      .example("tessera env --json", "the same with LibTorch's own configuration")
      .example("tessera env --out env.txt", "keep a copy to attach");
}
run::OptionTable<NoOptions> version_options() {
  return run::OptionTable<NoOptions>()
      .example("tessera version", "this program's version and LibTorch's")
      .example("tessera --version", "the same")
      .example("tessera version --json", "the same for a script");
}

}  // namespace

run::Command list_command() { return run::command("list", "list the methods and their commands", list_options, list_methods); }
run::Command doctor_command() {
  return run::command("doctor", "show what this machine offers and which models are installed", doctor_options, doctor);
}
run::Command env_command() {
  return run::command("env", "print what a report of a mistake should contain", env_options, print_environment);
}
run::Command version_command() { return run::command("version", "print the version", version_options, print_version); }

}  // namespace tessera::app
