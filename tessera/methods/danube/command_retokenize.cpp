// tessera danube retokenize: a model over another vocabulary; pieces that both know keep their rows.

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/lm/save.h"
#include "tessera/methods/danube/commands.h"
#include "tessera/methods/danube/opened.h"
#include "tessera/methods/danube/retokenize.h"

namespace tessera::danube {
namespace {

namespace fs = std::filesystem;

struct RetokenizeCommand {
  std::string model;
  fs::path tokenizer, out;
};

// A model's folder, its tokenizer.json or tokenizer.model, or a .gguf -> what copy_tokenizer_files reads.
fs::path tokenizer_source(const fs::path& given) {
  const auto name = given.filename().string();
  if (fs::is_directory(given) || name.ends_with(".gguf")) return given;
  if (name != "tokenizer.json" && name != "tokenizer.model")
    throw InputError("--tokenizer {}: give a model's folder, a tokenizer.json, a tokenizer.model or a .gguf",
                     tessera::quoted(given.string()));
  return given.parent_path().empty() ? fs::path(".") : given.parent_path();
}

void retokenize(const RetokenizeCommand& options, run::Context& context) {
  const auto source = tokenizer_source(options.tokenizer);
  const auto fresh = text::Tokenizer::load(options.tokenizer);
  const auto loaded = open_model(options.model, context);
  const auto from = match_pieces(piece_texts(*loaded.tokenizer), piece_texts(fresh));
  const RoleIds ids{fresh.bos_id(), fresh.eos_id(), fresh.pad_id()};
  const auto model = retokenized_model(loaded.model, from, context.settings().seed, ids);
  AtomicFolder folder(options.out, context.settings().force);
  lm::save_model(model, folder.folder(), {.source = source});
  folder.commit();
  const auto mapped = std::count_if(from.begin(), from.end(), [](int64_t id) { return id >= 0; });
  context.line("{} of {} pieces were known ({:.1f} %) and keep their rows; {} are new, from N(0, {})", mapped, from.size(),
               100.0 * mapped_fraction(from), from.size() - static_cast<size_t>(mapped), model->config().init_std);
  context.line("model: {}    train it on before use: tessera danube train --config c.json", options.out.string());
  context.result({{"out", options.out.string()},
                  {"pieces", from.size()},
                  {"mapped", mapped},
                  {"mapped_fraction", mapped_fraction(from)},
                  {"old_pieces", loaded.tokenizer->size()},
                  {"parameters", lm::parameter_count(model->config())}});
}

run::OptionTable<RetokenizeCommand> retokenize_options() {
  return run::OptionTable<RetokenizeCommand>()
      .model("MODEL", &RetokenizeCommand::model, "model folder, .gguf, or an installed model's name")
      .input("tokenizer", &RetokenizeCommand::tokenizer, "the new vocabulary: a model's folder, tokenizer.json, tokenizer.model or .gguf")
      .required()
      .output("out", &RetokenizeCommand::out, "new model folder; must not exist")
      .required()
      .example("tessera danube retokenize danube-1.8b/ --tokenizer mistral/ --out danube2/", "Danube2's first step")
      .example("tessera danube retokenize small/ --tokenizer new/tokenizer.json --out larger/", "a vocabulary of your own")
      .example("tessera danube retokenize small/ --tokenizer other/ --out same/ --json", "how many pieces are mapped, for a script");
}

}  // namespace

run::Command retokenize_command() {
  return run::command("retokenize", "give a model another vocabulary; known pieces keep their rows", retokenize_options, retokenize);
}

}  // namespace tessera::danube
