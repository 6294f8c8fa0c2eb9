#include "tessera/app/program.h"
#include "tessera/methods/methods.h"
#include "tessera/run/options_help.h"

namespace tessera::app {

namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

std::string head_of_help(const std::string& what, const std::string& usage) {
  return run::wrap(what, run::kHelpWidth, 0) + "\n\nusage: " + usage + "\n";
}

}  // namespace

std::string program_help() {
  std::string out =
      head_of_help("Published foundation-model systems that work on the machine you have.", "tessera COMMAND [INPUT...] [options]");
  out +=
      "\nexamples:\n"
      "  tessera generate smollm2 -p \"The sea is\" -n 40\n      continue a text with an installed model\n"
      "  tessera chat smollm2\n      talk to it\n"
      "  tessera reproduce shortgpt\n      repeat a paper's experiment and judge its claims\n";
  Entries commands, systems;
  for (const auto& command : program_commands()) commands.emplace_back(command.name, command.help);
  for (const auto& method : methods()) systems.emplace_back(method.slug, method.use);
  out += "\ncommands:\n" + run::two_columns(commands, 18);
  if (!systems.empty()) out += "\nmethods:\n" + run::two_columns(systems, 18);
  out +=
      "\ntessera COMMAND --help shows a command's options; --json prints one JSON document.\n"
      "Exit codes: 0 done, 1 the work failed, 2 wrong usage or input, 3 a claim was not held, 130 interrupted.\n";
  return out;
}

std::string family_help(const std::string& family) {
  Entries commands;
  Entries examples;
  for (const auto& each : all_commands()) {
    if (!each.name.starts_with(family + " ")) continue;
    commands.emplace_back(each.name.substr(family.size() + 1), each.command.help);
    const auto spec = each.command.spec();
    if (!spec.examples.empty() && examples.size() < 3) examples.emplace_back(spec.examples.front().line, spec.examples.front().does);
  }
  const run::Method* method = find_method(family);
  std::string out = head_of_help(method != nullptr ? method->use : "The commands of tessera " + family + ".",
                                 "tessera " + family + " COMMAND [INPUT...] [options]");
  if (method != nullptr) out += "\n" + run::wrap(method->title + ", " + method->paper, run::kHelpWidth, 0) + "\n";
  if (!examples.empty()) out += "\nexamples:\n";
  for (const auto& [line, does] : examples) out += fmt::format("  {}\n      {}\n", line, does);
  out += "\ncommands:\n" + run::two_columns(commands, 18);
  if (method != nullptr && method->reproduce) out += "\ntessera reproduce " + family + " repeats its experiment and judges its claims.\n";
  return out + "tessera " + family + " COMMAND --help shows a command's options.\n";
}

}  // namespace tessera::app
