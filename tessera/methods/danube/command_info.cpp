// tessera danube info: what a model is made of, and whether its tensors have the public layout.

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/layout.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/run/installed.h"
#include "tessera/tensor/weights.h"

namespace tessera::danube {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct InfoCommand {
  std::string model;
  bool tensors = false;
};

struct Described {
  lm::ModelConfig config;
  std::optional<std::vector<LayoutTensor>> found;  // a folder's tensors; a .gguf and a public name have none of their own
  std::string where;
};

Described describe(const std::string& given) {
  if (const auto config = public_config(given); !config.is_null() && !fs::exists(given))
    return {lm::parse_config(config), std::nullopt, given + " (the public config; nothing is on this disk)"};
  const auto path = run::find_model(given, "MODEL ");
  if (!fs::is_directory(path) || !fs::exists(path / "config.json"))
    return {lm::load_model(path.string(), {.tokenizer = false}).config(), std::nullopt, path.string()};
  Described described{lm::read_config(path / "config.json"), std::vector<LayoutTensor>{}, path.string()};
  const auto weights = tensor::Weights::open(path);
  for (const auto& info : weights.tensors()) described.found->push_back({info.name, info.shape});
  return described;
}

std::string megabytes(int64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0); }

void info(const InfoCommand& options, run::Context& context) {
  const auto model = describe(options.model);
  const auto& c = model.config;
  const auto layout = layout_of(c);
  const int64_t parameters = lm::parameter_count(c);
  context.line("{}", model.where);
  context.line("{}: {} layers, width {}, {} heads and {} key heads of {}, vocabulary {}", c.architecture, c.depth(), c.width, c.heads,
               c.kv_heads, c.head_width, c.vocab);
  context.line("{} parameters, {:.2f} GB in bf16", parameters, 2.0 * static_cast<double>(parameters) / 1e9);
  context.line("context {}, {}", c.max_positions, c.window > 0 ? fmt::format("sliding window {}", c.window) : "no window");
  context.line("keys and values: {} bytes a token in bf16, {} for the whole context ({} without a window)", lm::kv_bytes_per_token(c, 2),
               megabytes(cache_bytes(c, c.max_positions)), megabytes(lm::kv_bytes_per_token(c, 2) * c.max_positions));
  Json differences;
  if (model.found) {
    const auto lines = layout_differences(c, *model.found);
    differences = lines;
    context.line("tensors: {}", lines.empty() ? fmt::format("{}, the public layout by name and shape", model.found->size())
                                              : fmt::format("{} differences from the public layout:", lines.size()));
    for (size_t i = 0; i < std::min<size_t>(lines.size(), 8); ++i) context.line("  {}", tessera::quoted(lines[i], 200));
  }
  auto tensors = Json::array();
  for (const auto& tensor : layout) {
    if (options.tensors) context.line("  {:<52} {}", tensor.name, Json(tensor.shape).dump());
    tensors.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
  }
  context.result({{"model", model.where},
                  {"architecture", c.architecture},
                  {"parameters", parameters},
                  {"layers", c.depth()},
                  {"width", c.width},
                  {"vocab", c.vocab},
                  {"positions", c.max_positions},
                  {"window", c.window > 0 ? Json(c.window) : Json()},
                  {"cache_bytes_per_token", lm::kv_bytes_per_token(c, 2)},
                  {"cache_bytes", cache_bytes(c, c.max_positions)},
                  {"layout", tensors},
                  {"differences", differences}});
}

run::OptionTable<InfoCommand> info_options() {
  return run::OptionTable<InfoCommand>()
      .text("MODEL", &InfoCommand::model, "model folder, .gguf, an installed model's name, or danube-1.8b-base, danube2-1.8b-chat ...")
      .group(run::Group::model)
      .flag("tensors", &InfoCommand::tensors, "list the tensors of the layout")
      .example("tessera danube info danube-1.8b-base", "the public model's sizes; nothing is loaded")
      .example("tessera danube info my-model/", "does a folder have the layout? only headers are read")
      .example("tessera danube info danube2-1.8b-chat --tensors --json", "names and shapes, for a script");
}

}  // namespace

run::Command info_command() { return run::command("info", "a model's sizes, its cache, and its layout by name", info_options, info); }

}  // namespace tessera::danube
