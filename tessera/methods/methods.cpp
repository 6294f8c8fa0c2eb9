#include "tessera/methods/methods.h"

#include <algorithm>

// One line a method, and nothing else changes when one is added: M(shortgpt) stands for tessera/methods/shortgpt/method.cpp, whose
// `run::Method tessera::shortgpt::card()` is the method's table of contents.
#define METHODS(M) M(danube) M(galore) M(shortgpt)

#define DECLARE_CARD(slug) \
  namespace slug {         \
  run::Method card();      \
  }
#define CALL_CARD(slug) slug::card(),

namespace tessera {

METHODS(DECLARE_CARD)

const std::vector<run::Method>& methods() {
  static const std::vector<run::Method> all = {METHODS(CALL_CARD)};
  return all;
}

const run::Method* find_method(const std::string& slug) {
  const auto found = std::find_if(methods().begin(), methods().end(), [&](const run::Method& method) { return method.slug == slug; });
  return found == methods().end() ? nullptr : &*found;
}

}  // namespace tessera
