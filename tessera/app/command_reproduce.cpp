// reproduce METHOD | --all: a method's embedded experiment, its claims judged.

#include "tessera/app/commands.h"
#include "tessera/base/error.h"
#include "tessera/methods/methods.h"
#include "tessera/run/installed.h"
#include "tessera/run/run_folder.h"

namespace tessera::app {

namespace {

using Json = nlohmann::ordered_json;

struct ReproduceOptions {
  std::string method;
  bool all = false, quick = false, full = false;
};

run::Mode mode_of(const ReproduceOptions& options) {
  return options.quick ? run::Mode::quick : options.full ? run::Mode::full : run::Mode::normal;
}

const run::Method& reproducible(const std::string& slug) {
  std::vector<std::string> names;
  for (const auto& method : methods()) names.push_back(method.slug);
  const run::Method* method = find_method(slug);
  if (method == nullptr) {
    const std::string near = run::nearest(slug, names);
    throw InputError("METHOD {}: no such method; {}", tessera::quoted(slug),
                     near.empty() ? "tessera list names them" : "did you mean " + near + "?");
  }
  if (!method->reproduce) throw InputError("METHOD {}: it has no experiment yet; tessera list names the methods", slug);
  return *method;
}

}  // namespace
}  // namespace tessera::app
