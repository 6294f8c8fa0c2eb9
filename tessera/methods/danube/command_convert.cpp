// tessera danube convert: between the folder layout and GGUF.

#include "tessera/base/error.h"
#include "tessera/lm/gguf_export.h"
#include "tessera/methods/danube/commands.h"

namespace tessera::danube {
namespace {

enum class Layout { gguf, safetensors };

struct ConvertCommand {
  std::string model;
  Layout to = Layout::gguf;
  std::string type;
  std::filesystem::path out;
};

void check_convert(const ConvertCommand& options) {
  const bool gguf = options.out.extension() == ".gguf";
  if (gguf != (options.to == Layout::gguf))
    throw InputError("--out {}: with --to {}", options.out.string(),
                     gguf ? "safetensors the result is a folder; give another name" : "gguf the result is one file; end its name in .gguf");
}

void convert(const ConvertCommand& options, run::Context& context) {
  lm::convert_model(options.model, options.out, {.type = options.type});
  context.line("{} -> {}", options.model, options.out.string());
  context.result({{"in", options.model}, {"out", options.out.string()}, {"type", options.type}});
}

run::OptionTable<ConvertCommand> convert_options() {
  return run::OptionTable<ConvertCommand>()
      .model("MODEL", &ConvertCommand::model, "model folder, .gguf, or an installed model's name")
      .choice("to", &ConvertCommand::to,
              {{"gguf", Layout::gguf, "one file for llama.cpp"}, {"safetensors", Layout::safetensors, "a folder in Hugging Face layout"}},
              "the layout")
      .choice("type", &ConvertCommand::type,
              {{"F32", "F32", "32-bit floats"},
               {"BF16", "BF16", "brain floats"},
               {"F16", "F16", "half floats (gguf)"},
               {"Q8_0", "Q8_0", "8.5 bits a weight (gguf)"},
               {"Q4_1", "Q4_1", "5 bits (gguf)"},
               {"Q4_0", "Q4_0", "4.5 bits (gguf)"}},
              "of the matrices; left out: F32 from fp32 models, else BF16")
      .output("out", &ConvertCommand::out, "FILE.gguf, or a folder; must not exist")
      .required()
      .example("tessera danube convert chat-model/ --to gguf --type Q8_0 --out chat.gguf", "for llama.cpp")
      .example("tessera danube convert smollm2 --to safetensors --out smollm2-folder", "a folder that Transformers loads")
      .example("tessera danube convert base/ --to safetensors --type BF16 --out base-bf16", "half the bytes")
      .check(check_convert);
}

}  // namespace

run::Command convert_command() {
  return run::command("convert", "write a model as GGUF or as a folder of safetensors", convert_options, convert);
}

}  // namespace tessera::danube
