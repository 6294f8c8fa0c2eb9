// tessera shortgpt heal: small MLPs where layers were removed, trained on text.

#include <numeric>

#include "tessera/base/error.h"
#include "tessera/base/interrupt.h"
#include "tessera/lm/save.h"
#include "tessera/methods/shortgpt/commands.h"
#include "tessera/methods/shortgpt/heal.h"
#include "tessera/methods/shortgpt/opened_model.h"
#include "tessera/run/run_folder.h"

namespace tessera::shortgpt {
namespace {

enum class Trained { inserted, all };

struct HealCommand {
  std::string model;
  std::optional<std::string> dense;
  std::vector<std::filesystem::path> data;
  std::filesystem::path out;
  Trained train = Trained::inserted;
  int64_t window = 256, tokens = 1 << 20, width = 2048, steps = 200, batch = 2;
  double learning_rate = 1e-3, distill = 0.0;
};

void check_heal(const HealCommand& options) {
  if (options.distill > 0 && !options.dense) throw InputError("--distill {} needs the dense model; give --dense MODEL", options.distill);
}

run::OptionTable<HealCommand> heal_options() {
  return run::OptionTable<HealCommand>()
      .model("PRUNED", &HealCommand::model, "folder that `shortgpt prune` wrote")
      .input("data", &HealCommand::data, "texts to train on")
      .required()
      .model("dense", &HealCommand::dense, "the model before pruning, to distil from")
      .number("distill", &HealCommand::distill, run::Range{0, 100}, "weight of the dense model's distribution in the loss")
      .choice("train", &HealCommand::train,
              {{"inserted", Trained::inserted, "the new MLPs alone: cheap"}, {"all", Trained::all, "all weights, as in the paper"}},
              "what is trained")
      .number("width", &HealCommand::width, run::Range{1, 1 << 20}, "inner width of an inserted MLP")
      .number("steps", &HealCommand::steps, run::Range{1, 1e9}, "optimizer steps")
      .number("batch", &HealCommand::batch, run::Range{1, 65536}, "windows a step")
      .number("window", &HealCommand::window, run::Range{2, 1 << 20}, "length of a window")
      .unit("tokens")
      .number("tokens", &HealCommand::tokens, run::Range{2, 1e12}, "how much text to read")
      .unit("tokens")
      .number("lr", &HealCommand::learning_rate, run::Range{0, 1}, "peak learning rate")
      .output("out", &HealCommand::out, "new model folder; must not exist")
      .required()
      .example("tessera shortgpt heal small/ --data book.txt --out healed/", "200 steps, new MLPs alone")
      .example("tessera shortgpt heal small/ --data book.txt --dense smollm2 --distill 0.5 --out healed/", "distilling the dense model")
      .example("tessera shortgpt heal small/ --data book.txt --train all --lr 2e-5 --out healed/", "all weights, as in the paper")
      .check(check_heal);
}

void heal_model(const HealCommand& options, run::Context& context) {
  auto opened = open_model(options.model, context, {.dtype = lm::DtypeChoice::fp32});
  auto& model = opened.transformer("heal");
  const auto inserted = insert_mlps(model, removed_layers(model->config()), options.width, context.settings().seed);
  const auto windows = read_windows(*opened.tokenizer, options.data, {.window = options.window, .tokens = options.tokens}, "--data");
  std::optional<OpenedModel> dense;
  if (options.distill > 0) {
    dense = open_model(*options.dense, context, {.dtype = lm::DtypeChoice::fp32});
    if (dense->transformer("heal")->config().vocab != model->config().vocab) {
      throw InputError("--dense {}: {} tokens, the pruned model has {}; give the model it was made from", *options.dense,
                       dense->loaded.config().vocab, model->config().vocab);
    }
  }
  auto& metrics = context.folder().metrics();
  std::vector<double> losses;
  {
    Progress progress(context.progress(), "healing", static_cast<uint64_t>(options.steps), "steps");
    losses = heal(model, inserted, windows,
                  {.steps = options.steps,
                   .batch = options.batch,
                   .learning_rate = options.learning_rate,
                   .train_all = options.train == Trained::all,
                   .distill = options.distill,
                   .seed = context.settings().seed,
                   .on_step =
                       [&](int64_t step, double loss) {
                         metrics.write(step, {{"train/loss", loss}});
                         progress.update(static_cast<uint64_t>(step), fmt::format("loss {:.3f}", loss));
                         return !interrupted();
                       }},
                  dense ? dense->loaded.model : lm::Transformer(nullptr));
  }
  lm::save_model(model, options.out, {.source = opened.loaded.path, .dtype = torch::kFloat});
  const auto mean = [&](size_t begin, size_t end) {
    return std::accumulate(losses.begin() + static_cast<std::ptrdiff_t>(begin), losses.begin() + static_cast<std::ptrdiff_t>(end), 0.0) /
           static_cast<double>(end - begin);
  };
  const size_t tenth = std::max<size_t>(1, losses.size() / 10);
  context.line("inserted {} MLPs of width {}; loss {:.3f} -> {:.3f} (mean of the first and last {} steps)", inserted.size(), options.width,
               mean(0, tenth), mean(losses.size() - tenth, losses.size()), tenth);
  context.line("wrote {}: Tessera reads it; layers without attention have no form in other software", options.out.string());
  context.result({{"inserted", inserted},
                  {"steps", losses.size()},
                  {"first_loss", mean(0, tenth)},
                  {"last_loss", mean(losses.size() - tenth, losses.size())},
                  {"out", options.out.string()}});
  if (interrupted())
    throw Interrupted("stopped after {} of {} steps, saved to {}; run again with more --steps", losses.size(), options.steps,
                      options.out.string());
}

}  // namespace

run::Command heal_command() { return run::command("heal", "train small MLPs where layers were removed", heal_options, heal_model); }

}  // namespace tessera::shortgpt
