// tessera shortgpt prune: a model folder without the layers that matter least.

#include <fmt/ranges.h>

#include <cmath>
#include <numeric>

#include "tessera/base/error.h"
#include "tessera/lm/save.h"
#include "tessera/methods/shortgpt/commands.h"
#include "tessera/methods/shortgpt/opened_model.h"
#include "tessera/methods/shortgpt/prune.h"
#include "tessera/methods/shortgpt/recurrent_folder.h"
#include "tessera/run/installed.h"

namespace tessera::shortgpt {
namespace {

enum class Branch { block, attention, mlp };

struct PruneCommand {
  std::string model;
  std::optional<int64_t> layers;
  std::optional<double> ratio, max_ppl_rise;
  std::string remove;
  std::vector<std::filesystem::path> calib;
  Metric metric = Metric::block_influence;
  Branch sublayer = Branch::block;
  int64_t window = 256, tokens = 65536;
  std::filesystem::path out;
};

void check_prune(const PruneCommand& options) {
  const int ways = int{options.layers.has_value()} + int{options.ratio.has_value()} + int{options.max_ppl_rise.has_value()} +
                   int{!options.remove.empty()};
  if (ways != 1) {
    throw InputError("{} of --layers, --ratio, --remove and --max-ppl-rise given; give exactly one",
                     ways == 0 ? "none" : std::to_string(ways));
  }
  const bool textless = options.metric == Metric::sequential || options.metric == Metric::reverse || options.metric == Metric::random;
  if (options.remove.empty() && (!textless || options.max_ppl_rise) && options.calib.empty()) {
    throw InputError("{} needs text; give --calib FILE, or the layers themselves with --remove",
                     options.max_ppl_rise ? "--max-ppl-rise" : fmt::format("--metric {}", name_of(options.metric)));
  }
  if (options.sublayer != Branch::block && options.ratio) {
    throw InputError("--ratio counts whole layers, --sublayer zeroes branches whose bytes stay; give --layers N");
  }
}

run::OptionTable<PruneCommand> prune_options() {
  return run::OptionTable<PruneCommand>()
      .model("MODEL", &PruneCommand::model, "model to shorten: folder, .gguf, or an installed model's name")
      .number("layers", &PruneCommand::layers, run::Range{1, 1000}, "how many layers to remove")
      .unit("layers")
      .number("ratio", &PruneCommand::ratio, run::Range{0, 1}, "share of the parameters to remove; the nearest number of layers")
      .text("remove", &PruneCommand::remove, "exactly these layers: 21-29,3")
      .metavar("LAYERS")
      .number("max-ppl-rise", &PruneCommand::max_ppl_rise, run::Range{0, 1e6}, "as many as raise perplexity by at most this share of it")
      .input("calib", &PruneCommand::calib, "texts to rank the layers on")
      .choice("metric", &PruneCommand::metric, metric_choices(), "what ranks the layers")
      .choice("sublayer", &PruneCommand::sublayer,
              {{"block", Branch::block, "whole layers"},
               {"attn", Branch::attention, "attention branches; their output matrices become zero, so the folder keeps its size"},
               {"mlp", Branch::mlp, "FFN branches, in the same way"}},
              "what is removed")
      .number("window", &PruneCommand::window, run::Range{2, 1 << 20}, "length of a calibration window")
      .unit("tokens")
      .number("tokens", &PruneCommand::tokens, run::Range{2, 1e12}, "how much text to read")
      .unit("tokens")
      .output("out", &PruneCommand::out, "new model folder; must not exist")
      .required()
      .example("tessera shortgpt prune smollm2 --layers 3 --calib book.txt --out small/", "remove the three lowest layers")
      .example("tessera shortgpt prune model/ --max-ppl-rise 0.10 --calib book.txt --out small/", "as many as cost 10 % of perplexity")
      .example("tessera shortgpt prune model/ --remove 21-29 --out small/", "exactly these")
      .check(check_prune);
}

// The longest prefix of `order` that raises the perplexity of `windows` by at most `rise`.
int64_t count_for_rise(LayeredModel& model, const std::vector<int64_t>& order, const Windows& windows, double rise, run::Context& context) {
  const double dense = losses_without(model, windows, {{}})[0].per_token();
  for (int64_t n = 1; n < model.depth(); ++n) {
    const double here = losses_without(model, windows, {{order.begin(), order.begin() + n}})[0].per_token();
    const double ratio = std::expm1(here - dense);
    context.note("{} removed: perplexity {:.3f}, {:+.1f} %", n, std::exp(here), 100 * ratio);
    if (ratio > rise) return n - 1;
  }
  return model.depth() - 1;
}

// Indices of the layers (or branches' blocks) that go.
std::vector<int64_t> chosen_layers(const PruneCommand& options, OpenedModel& opened, run::Context& context) {
  const int64_t depth = opened.depth();
  if (!options.remove.empty()) {
    auto chosen = parse_layers(options.remove, depth, "--remove");
    if (options.sublayer == Branch::block && static_cast<int64_t>(chosen.size()) >= depth) {
      throw InputError("--remove {}: {} has {} layers and one must stay; name fewer", options.remove, options.model, depth);
    }
    return chosen;
  }
  const bool branches = options.sublayer != Branch::block;
  if (options.layers && *options.layers >= depth) {
    throw InputError("--layers {}: {} has {} layers and one must stay; give 1 to {}", *options.layers, options.model, depth, depth - 1);
  }
  Windows windows;
  if (!options.calib.empty()) {
    windows = read_windows(*opened.tokenizer, options.calib, {.window = options.window, .tokens = options.tokens}, "--calib");
  }
  auto model = opened.layers(branches);
  auto order = ranking(*model, options.metric, windows, options.layers.value_or(1), context);
  if (branches) {  // of 2L branches those of the kind asked for
    std::erase_if(order, [&](int64_t i) { return (i % 2 == 0) != (options.sublayer == Branch::attention); });
  }
  int64_t count = 0;
  if (options.layers) count = *options.layers;
  if (options.ratio) {
    if (opened.recurrent()) throw InputError("--ratio: this model's blocks are all of one size; give --layers N");
    count = count_for_ratio(opened.loaded.config(), order, *options.ratio);
  }
  if (options.max_ppl_rise) count = count_for_rise(*model, order, windows, *options.max_ppl_rise, context);
  if (count == 0) {
    throw InputError("no layer can go: {}; allow more",
                     options.ratio ? fmt::format("one layer is more than twice --ratio {}", *options.ratio)
                                   : fmt::format("the first already passes --max-ppl-rise {}", *options.max_ppl_rise));
  }
  order.resize(static_cast<size_t>(count));
  if (branches) {
    for (auto& index : order) index /= 2;
  }
  return order;
}

// The type the tensors are written in: that of the folder's own (nothing is lost), float32 from a GGUF, or --dtype.
torch::Dtype stored_dtype(const OpenedModel& opened, const run::Context& context) {
  if (context.settings().dtype == run::Dtype::bf16) return torch::kBFloat16;
  if (context.settings().dtype == run::Dtype::fp32 || !std::filesystem::is_directory(opened.loaded.path)) return torch::kFloat;
  const auto& raw = opened.loaded.config().raw;
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto found = raw.find(key);
    if (found == raw.end() || !found->is_string()) continue;
    if (*found == "bfloat16") return torch::kBFloat16;
    if (*found == "float16") return torch::kHalf;
  }
  return torch::kFloat;
}

nlohmann::ordered_json size_json(const Size& size) {
  return {{"layers", size.layers}, {"parameters", size.parameters}, {"bytes", size.bytes}, {"kv_bytes_per_token", size.kv_bytes_per_token}};
}

void prune_transformer(const PruneCommand& options, OpenedModel& opened, const std::vector<int64_t>& chosen, run::Context& context) {
  auto& model = opened.loaded.model;
  const auto dtype = stored_dtype(opened, context);
  const auto element = static_cast<int64_t>(torch::elementSize(dtype));
  const auto before = size_of(model->config(), element);
  Removal removal;
  (options.sublayer == Branch::block ? removal.blocks : options.sublayer == Branch::attention ? removal.attention : removal.ffn) = chosen;
  remove(model, removal);
  const auto after = size_of(model->config(), element);
  lm::save_model(model, options.out, {.source = opened.loaded.path, .dtype = dtype});
  const auto percent = [](int64_t less, int64_t more) { return 100.0 * static_cast<double>(more - less) / static_cast<double>(more); };
  context.line("removed {} {}: {}", chosen.size(),
               options.sublayer == Branch::block       ? "layers"
               : options.sublayer == Branch::attention ? "attention branches"
                                                       : "FFN branches",
               fmt::join(chosen, " "));
  context.line("layers      {} -> {}", before.layers, after.layers);
  context.line("parameters  {} -> {} (-{:.1f} %)", short_count(static_cast<double>(before.parameters)),
               short_count(static_cast<double>(after.parameters)), percent(after.parameters, before.parameters));
  context.line("bytes       {} -> {}", short_bytes(static_cast<double>(before.bytes)), short_bytes(static_cast<double>(after.bytes)));
  context.line("KV cache    {} -> {} bytes a token", before.kv_bytes_per_token, after.kv_bytes_per_token);
  if (options.sublayer != Branch::block) context.line("branches were zeroed, so that the folder loads everywhere: its size stays");
  context.line("wrote {}", options.out.string());
  context.result({{"removed", chosen},
                  {"sublayer", options.sublayer == Branch::block       ? "block"
                               : options.sublayer == Branch::attention ? "attn"
                                                                       : "mlp"},
                  {"before", size_json(before)},
                  {"after", size_json(after)},
                  {"out", options.out.string()}});
}

void prune(const PruneCommand& options, run::Context& context) {
  auto opened = open_model(options.model, context, {.dtype = lm::DtypeChoice::fp32});  // 16-bit weights pass through float32 unchanged
  if (opened.recurrent() && options.sublayer != Branch::block) {
    throw InputError("--sublayer: only a Transformer's block has attention and FFN branches; leave the option out");
  }
  const auto chosen = chosen_layers(options, opened, context);
  if (!opened.recurrent()) {
    prune_transformer(options, opened, chosen, context);
    return;
  }
  prune_recurrent(run::find_model(options.model), chosen, options.out);
  context.line("removed {} layers: {}", chosen.size(), fmt::join(chosen, " "));
  context.line("layers      {} -> {}", opened.depth(), opened.depth() - static_cast<int64_t>(chosen.size()));
  context.line("wrote {}", options.out.string());
  context.result({{"removed", chosen}, {"sublayer", "block"}, {"out", options.out.string()}});
}

}  // namespace

run::Command prune_command() { return run::command("prune", "write a smaller model without the lowest layers", prune_options, prune); }

}  // namespace tessera::shortgpt
