#include "tessera/app/completion.h"
#include "tessera/methods/methods.h"
#include "tessera/run/options_help.h"

namespace tessera::app {

namespace {

// Text in roff: no line may begin with a control character, backslashes and hyphens are written out.
std::string roff(const std::string& text) {
  std::string out = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string trimmed_head(const run::OptionRow& row) {
  std::string head = run::option_head(row);
  return head.substr(std::min(head.find_first_not_of(' '), head.size()));
}

std::string manual_option(const run::OptionRow& row) {
  std::string out = fmt::format(".TP\n.B {}\n{}\n", roff(trimmed_head(row)), roff(run::option_body(row)));
  for (const auto& choice : row.choices) out += fmt::format(".br\n{}: {}\n", roff(choice.name), roff(choice.help));
  return out;
}

std::string manual_command(const NamedCommand& named) {
  const run::CommandSpec spec = named.command.spec();
  std::string out = fmt::format(".SS {}\n{}.\n.PP\n.nf\n{}\n.fi\n", roff(named.name), roff(named.command.help),
                                roff(run::usage_line(named.name, spec.rows)));
  for (const auto& row : spec.rows) out += manual_option(row);
  if (!spec.examples.empty()) out += ".PP\nExamples:\n.nf\n";
  for (const auto& example : spec.examples) out += fmt::format("{}\n", roff(example.line));
  if (!spec.examples.empty()) out += ".fi\n";
  return out;
}

}  // namespace

std::string manual_page(const std::vector<NamedCommand>& commands) {
  std::string out = fmt::format(
      ".TH TESSERA 1 \"\" \"Tessera {}\" \"User Commands\"\n.SH NAME\ntessera \\- published foundation\\-model systems on the machine you "
      "have\n.SH SYNOPSIS\n.B tessera\n.I COMMAND\n[\\fIINPUT\\fR...] [\\fIoptions\\fR]\n.SH COMMANDS\n",
      TESSERA_VERSION);
  for (const auto& each : commands) out += manual_command(each);
  out += ".SH OPTIONS OF EVERY COMMAND\n";
  for (const auto& row : run::program_options().rows()) out += manual_option(row);
  out += ".SH EXIT STATUS\n";
  for (const auto& [code, meaning] : {std::pair{"0", "done"},
                                      {"1", "the work failed"},
                                      {"2", "wrong usage or input; nothing was written"},
                                      {"3", "a claim was not held, or a bar was missed"},
                                      {"130", "interrupted"}})
    out += fmt::format(".TP\n.B {}\n{}\n", code, meaning);
  out +=
      ".SH ENVIRONMENT\nEvery option has an environment form: \\-\\-dtype is TESSERA_DTYPE. Order: default, recipe, environment, option; "
      "the last one given wins.\n";
  for (const auto& [name, meaning] : {std::pair{"TESSERA_HOME", "the source tree: recipes, benchmarks"},
                                      {"TESSERA_VENV", "the virtual environment with packaged models"},
                                      {"TESSERA_CACHE", "joined models; else $XDG_CACHE_HOME/tessera, else ~/.cache/tessera"},
                                      {"HF_HUB_CACHE, HF_HOME", "the Hugging Face cache, which is only read"},
                                      {"NO_COLOR", "no colours"}})
    out += fmt::format(".TP\n.B {}\n{}\n", name, roff(meaning));
  return out;
}

}  // namespace tessera::app
