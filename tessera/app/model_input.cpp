#include "tessera/app/model_input.h"

#include <iostream>
#include <iterator>

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/base/progress.h"

namespace tessera::app {

lm::LoadOptions load_options(const run::Settings& settings) {
  lm::LoadOptions options;
  options.dtype = lm::parse_dtype(run::name_of(settings.dtype));
  options.device = lm::parse_device(run::name_of(settings.device));
  return options;
}

lm::LoadedModel open_model(const std::string& path, run::Context& context) {
  lm::LoadedModel loaded = lm::load_model(path, load_options(context.settings()));
  if (loaded.tokenizer == nullptr)
    throw InputError("{}: it has no tokenizer that can be used: {}", tessera::quoted(path), loaded.tokenizer_problem);
  if (context.settings().verbose)
    context.note("{}: {} layers, width {}, {}, loaded in {}", path, loaded.config().depth(), loaded.config().width, loaded.dtype_note,
                 short_duration(loaded.load_seconds));
  return loaded;
}

std::string read_text(const std::optional<std::string>& file, const char* what) {
  std::string text;
  if (file && *file != "-") {
    text = read_file(*file);
  } else {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  if (text.empty()) throw InputError("{}: {} is empty; give some text", file ? tessera::quoted(*file) : "standard input", what);
  return text;
}

std::vector<int64_t> wide(const std::vector<text::TokenId>& ids) { return {ids.begin(), ids.end()}; }

std::vector<text::TokenId> narrow(const std::vector<int64_t>& ids) {
  std::vector<text::TokenId> out;
  out.reserve(ids.size());
  for (const int64_t id : ids) out.push_back(static_cast<text::TokenId>(id));
  return out;
}

std::string printable(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t length = lead < 0x80 ? 1 : lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    bool good = length > 0 && lead < 0xf5 && at + length <= text.size();
    for (size_t i = 1; good && i < length; ++i) good = (static_cast<unsigned char>(text[at + i]) & 0xc0) == 0x80;
    out += good ? text.substr(at, length) : "\xef\xbf\xbd";
    at += good ? length : 1;
  }
  return out;
}

}  // namespace tessera::app
