// tessera danube fp8: what FP8 linear layers would lose on a model and a text.

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/interrupt.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/fp8_model.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/train/corpus.h"
#include "tessera/train/language.h"

namespace tessera::danube {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Fp8Command {
  std::string model;
  fs::path data;
  int64_t passes = 8, batch = 1, seq = 256, history = 16;
};

run::OptionTable<Fp8Command> fp8_options() {
  return run::OptionTable<Fp8Command>()
      .model("MODEL", &Fp8Command::model, "model folder, .gguf, or an installed model's name")
      .input("data", &Fp8Command::data, "text: forward and backward passes run on it")
      .required()
      .number("passes", &Fp8Command::passes, run::Range{1, 1e6}, "passes over consecutive parts of the text")
      .number("batch", &Fp8Command::batch, run::Range{1, 4096}, "rows of a pass")
      .number("seq", &Fp8Command::seq, run::Range{1, 1 << 20}, "length of a row")
      .unit("tokens")
      .number("history", &Fp8Command::history, run::Range{1, 4096}, "passes a scale remembers")
      .example("tessera danube fp8 smollm2 --data book.txt", "underflow and overflow of every layer, and the loss")
      .example("tessera danube fp8 small/ --data book.txt --history 1 --passes 20", "scales of the last pass alone")
      .example("tessera danube fp8 small/ --data book.txt --json", "for a script");
}

std::vector<int64_t> tokens_of(const Fp8Command& options, const text::Tokenizer& tokenizer) {
  const auto wanted = static_cast<size_t>(options.passes * options.batch * (options.seq + 1));
  std::vector<int64_t> ids;
  train::for_each_text({.name = "data", .given = options.data.string()}, [&](std::string&& text) {
    for (const auto id : tokenizer.encode_ids(text)) ids.push_back(id);
    return ids.size() < wanted;
  });
  if (ids.size() < wanted)
    throw InputError("--data {} has {} tokens and {} passes take {}; give more text, or a smaller --passes, --batch or --seq",
                     options.data.string(), ids.size(), options.passes, wanted);
  return ids;
}

train::LanguageRows rows_at(std::vector<int64_t>& ids, int64_t pass, const Fp8Command& options) {
  const int64_t row = options.seq + 1, all = options.batch * row;
  const auto block = torch::from_blob(ids.data() + pass * all, {options.batch, row}, torch::kInt64);
  return {block.narrow(1, 0, options.seq).contiguous(), block.narrow(1, 1, options.seq).contiguous(), {}};
}

Json losses_json(const Fp8Losses& losses) { return {{"underflow", losses.underflow_fraction()}, {"overflow", losses.overflow_fraction()}}; }

void fp8(const Fp8Command& options, run::Context& context) {
  auto loaded = open_model(options.model, context, {}, lm::DtypeChoice::fp32);
  auto ids = tokens_of(options, *loaded.tokenizer);
  for (auto& parameter : loaded.model->parameters()) parameter.requires_grad_(true);
  const auto tokens = static_cast<double>(options.passes * options.batch * options.seq);
  double exact = 0.0, emulated = 0.0;
  for (int64_t i = 0; i < options.passes; ++i) {
    torch::NoGradGuard no_grad;
    throw_if_interrupted();
    exact += train::language_loss(loaded.model, rows_at(ids, i, options), false).item<double>() / tokens;
  }
  const Fp8Model emulation(loaded.model, options.history);
  Progress progress(context.progress(), "fp8", static_cast<uint64_t>(options.passes), "passes");
  for (int64_t i = 0; i < options.passes; ++i) {
    throw_if_interrupted();
    const auto loss = train::language_loss(loaded.model, rows_at(ids, i, options), false);
    emulated += loss.item<double>() / tokens;
    (loss / static_cast<double>(options.batch * options.seq)).backward();
    loaded.model->zero_grad();
    progress.update(static_cast<uint64_t>(i + 1));
  }
  auto layers = Json::array();
  context.line("share of values lost: E4M3 input, E4M3 weight, E5M2 gradient; under- and overflow");
  for (const auto& layer : emulation.layers()) {
    const auto &x = layer.scales->input.losses(), &w = layer.scales->weight.losses(), &g = layer.scales->gradient.losses();
    context.line("{:<40} {:.2e} {:.2e}   {:.2e} {:.2e}   {:.2e} {:.2e}", layer.name, x.underflow_fraction(), x.overflow_fraction(),
                 w.underflow_fraction(), w.overflow_fraction(), g.underflow_fraction(), g.overflow_fraction());
    layers.push_back({{"layer", layer.name}, {"input", losses_json(x)}, {"weight", losses_json(w)}, {"gradient", losses_json(g)}});
  }
  context.line("loss {:.5f} nats a token exact, {:.5f} in FP8 ({:+.5f})", exact, emulated, emulated - exact);
  context.result({{"model", options.model}, {"loss", exact}, {"fp8_loss", emulated}, {"history", options.history}, {"layers", layers}});
}

}  // namespace

run::Command fp8_command() {
  return run::command("fp8", "what FP8 products would lose on your model and text, layer by layer", fp8_options, fp8);
}

}  // namespace tessera::danube
