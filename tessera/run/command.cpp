#include "tessera/run/command.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tessera/base/error.h"
#include "tessera/run/run_folder.h"

namespace tessera::run {

OptionTable<Settings> program_options() {
  return OptionTable<Settings>()
      .choice("device", &Settings::device, {{"cpu", Device::cpu, "this machine's cores"}, {"cuda", Device::cuda, "the first NVIDIA GPU"}},
              "where tensors live")
      .group(Group::run)
      .choice("dtype", &Settings::dtype,
              {{"auto", Dtype::automatic, "bf16 where the device multiplies it faster, else fp32"},
               {"fp32", Dtype::fp32, "32-bit floats"},
               {"bf16", Dtype::bf16, "16-bit brain floats"}},
              "what products are computed in")
      .group(Group::run)
      .number("threads", &Settings::threads, Range{0, 4096}, "threads to use; 0: all cores this process may use")
      .short_name('t')
      .group(Group::run)
      .number("seed", &Settings::seed, Range{0, 9007199254740992.0}, "start of all random streams")
      .short_name('s')
      .group(Group::run)
      .output("out", &Settings::out, "where results go: the run's folder, or a copy of what is printed; left out: runs/<time>-<command>")
      .short_name('o')
      .flag("json", &Settings::json, "print one JSON document on stdout instead of a summary")
      .group(Group::output)
      .flag("force", &Settings::force, "overwrite what exists")
      .group(Group::output)
      .flag("quiet", &Settings::quiet, "no progress and no summary")
      .short_name('q')
      .group(Group::output)
      .flag("verbose", &Settings::verbose, "say more on stderr")
      .short_name('v')
      .group(Group::output)
      .text("recipe", &Settings::recipe, "TOML file with settings; what is given here as well wins")
      .metavar("FILE")
      .group(Group::run)
      .text("set", &Settings::set, "set a recipe key; may be given again")
      .metavar("KEY=VALUE")
      .group(Group::run)
      .flag("help", &Settings::help, "show this")
      .short_name('h')
      .group(Group::run);
}

std::vector<OptionRow> with_program_options(const std::vector<OptionRow>& rows) {
  std::vector<OptionRow> all = rows;
  for (auto& row : program_options().rows()) {
    if (find_row(rows, row.name) != nullptr) continue;
    const bool letter_taken =
        std::any_of(rows.begin(), rows.end(), [&](const OptionRow& each) { return each.short_name == row.short_name; });
    all.push_back(row);
    if (letter_taken) all.back().short_name = 0;
  }
  return all;
}

const char* name_of(Device device) { return device == Device::cuda ? "cuda" : "cpu"; }
const char* name_of(Dtype dtype) { return dtype == Dtype::automatic ? "auto" : dtype == Dtype::fp32 ? "fp32" : "bf16"; }

Context::Context(Settings settings, Sinks sinks, std::string command, std::string recipe)
    : settings_(std::move(settings)),
      sinks_(std::move(sinks)),
      command_(std::move(command)),
      recipe_(std::move(recipe)),
      document_(std::make_unique<nlohmann::ordered_json>()) {}
Context::Context(const Context& whole, std::string command, std::filesystem::path out)
    : Context(whole.settings_, whole.sinks_, std::move(command), whole.recipe_) {
  settings_.out = std::move(out);
}
Context::~Context() = default;

void Context::write(std::string_view text) {
  if (!settings_.json && sinks_.out) sinks_.out(text);
}

void Context::summary_line(const std::string& line) {
  if (folder_) folder_->log(line);
  if (!settings_.quiet) write(line + "\n");
}

void Context::note_line(const std::string& line) {
  if (folder_) folder_->log(line);
  if (sinks_.err && !settings_.quiet) sinks_.err(line + "\n");
}

void Context::result(nlohmann::ordered_json document) {
  if (!document_->is_null()) throw std::logic_error("a command gave two results");
  *document_ = std::move(document);
}

void Context::result_line(const nlohmann::ordered_json& document) {
  if (settings_.json && sinks_.out) sinks_.out(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

const nlohmann::ordered_json& Context::document() const { return *document_; }

RunFolder& Context::folder() { return open_folder(false); }
RunFolder& Context::resumed_folder() { return open_folder(true); }

RunFolder& Context::open_folder(bool resume) {
  if (!folder_) {
    std::string name = command_.empty() ? "run" : command_;
    std::replace(name.begin(), name.end(), ' ', '-');
    folder_ = std::make_unique<RunFolder>(RunFolderOptions{.name = std::move(name),
                                                           .out = settings_.out,
                                                           .if_exists = resume            ? IfExists::resume
                                                                        : settings_.force ? IfExists::replace
                                                                                          : IfExists::refuse});
    folder_->write_recipe(recipe_);
  }
  return *folder_;
}

void fill_rows(const std::vector<OptionRow>& rows, const GivenOptions& given, void* settings) {
  for (const auto& row : rows) {
    const auto found = given.find(row.name);
    if (found != given.end()) {
      row.assign(settings, row, found->second);
    } else if (row.required) {
      const std::string name = row.positional ? row.metavar : "--" + row.name;
      throw InputError("{} is missing; give {}: {}", name, row.positional ? "it" : name + " " + row.metavar, row.help);
    }
  }
}

void check_outputs(const std::vector<OptionRow>& rows, const GivenOptions& given, bool force) {
  for (const auto& row : rows) {
    const auto found = given.find(row.name);
    if (row.kind != Kind::output || found == given.end()) continue;
    for (const auto& value : found->second.values) {
      std::error_code error;
      const bool free = !std::filesystem::exists(value, error) ||
                        (std::filesystem::is_directory(value, error) && std::filesystem::is_empty(value, error));
      if (!free && !force) refuse_value(found->second, value, "exists already", "give another path, or --force to overwrite");
    }
  }
}

}  // namespace tessera::run
