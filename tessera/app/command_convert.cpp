// convert: a model from one layout or type to another.

#include <unistd.h>

#include "tessera/app/commands.h"
#include "tessera/base/error.h"
#include "tessera/base/progress.h"
#include "tessera/lm/gguf_export.h"

namespace tessera::app {

namespace {

namespace fs = std::filesystem;

struct ConvertCommand {
  std::string in;
  fs::path out;
  std::string type;
};

uint64_t bytes_under(const fs::path& path) {
  if (!fs::is_directory(path)) return fs::file_size(path);
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path)) bytes += entry.is_regular_file() ? entry.file_size() : 0;
  return bytes;
}

// Writes beside `out` and takes its place when complete: what --force overwrites stays until then.
void convert_over(const ConvertCommand& options, const lm::ConvertOptions& how) {
  fs::path fresh = options.out.has_filename() ? options.out : options.out.parent_path();
  const fs::path old = fresh;
  fresh.replace_filename(fmt::format(".{}.{}{}", old.stem().string(), getpid(), old.extension().string()));
  try {
    lm::convert_model(options.in, fresh, how);
    fs::remove_all(old);
    fs::rename(fresh, old);
  } catch (...) {
    std::error_code error;
    fs::remove_all(fresh, error);
    throw;
  }
}

void convert(const ConvertCommand& options, run::Context& context) {
  std::error_code error;
  if (fs::exists(options.out, error) && fs::equivalent(options.in, options.out, error))
    throw InputError("OUT {} is the model itself; give another path", tessera::quoted(options.out.string()));
  const lm::ConvertOptions how{.type = options.type};
  const bool overwrite = context.settings().force && fs::exists(options.out, error);
  if (overwrite) {
    convert_over(options, how);
  } else {
    lm::convert_model(options.in, options.out, how);
  }
  const uint64_t bytes = bytes_under(options.out);
  context.line("{} -> {}, {}", options.in, options.out.string(), short_bytes(static_cast<double>(bytes)));
  context.result({{"in", options.in}, {"out", options.out.string()}, {"type", options.type}, {"bytes", bytes}});
}

run::OptionTable<ConvertCommand> convert_options() {
  return run::OptionTable<ConvertCommand>()
      .model("IN", &ConvertCommand::in, "model folder, .gguf, or an installed model's name")
      .output("OUT", &ConvertCommand::out, "FILE.gguf, or a folder in Hugging Face layout; must not exist")
      .choice("type", &ConvertCommand::type,
              {{"F32", "F32", "32-bit floats"},
               {"BF16", "BF16", "brain floats, half of that"},
               {"F16", "F16", "half floats (.gguf)"},
               {"Q8_0", "Q8_0", "8.5 bits a weight (.gguf)"},
               {"Q4_1", "Q4_1", "5 bits a weight (.gguf)"},
               {"Q4_0", "Q4_0", "4.5 bits a weight (.gguf)"}},
              "of the matrices; left out: F32 from fp32 models, else BF16")
      .group(run::Group::output)
      .example("tessera convert smollm2 smollm2-folder", "a GGUF as a folder that Transformers loads")
      .example("tessera convert small/ small.gguf --type Q8_0", "a folder as one quantised file for llama.cpp")
      .example("tessera convert model/ model-bf16 --type BF16", "half the bytes");
}

}  // namespace

run::Command convert_command() { return run::command("convert", "write a model in another layout or type", convert_options, convert); }

}  // namespace tessera::app
