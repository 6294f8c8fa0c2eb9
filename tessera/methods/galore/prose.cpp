// The experiment's text.

#include "tessera/base/random.h"
#include "tessera/data/sources.h"
#include "tessera/methods/galore/reproduce.h"

namespace tessera::galore {

Prose real_prose(ProseFor use) {
  constexpr size_t every = 20, judged = 10, chosen_by = 5;  // of every twenty documents: which one judges claims, which one rates
  Prose prose;
  for (const char* name : {"anarchism", "debian-handbook"}) {
    if (!data::installed(data::find_source(name))) continue;
    const auto documents = data::read_documents(name, {}, use == ProseFor::quick ? 400'000 : UINT64_MAX);
    for (size_t i = 0; i < documents.size(); ++i) {
      const bool left_out = use == ProseFor::rates && i % every == judged;
      const bool held = i % every == (use == ProseFor::rates ? chosen_by : judged);
      if (!left_out) (held ? prose.held_out : prose.training) += documents[i].text + "\n";
    }
    prose.what += std::string(prose.what.empty() ? "" : ", ") + name;
  }
  if (prose.held_out.size() > 20'000) return prose;
  RandomStream letters(1, "galore/made-up");
  prose = {.training = {}, .held_out = {}, .what = "made-up words"};
  for (auto* text : {&prose.training, &prose.held_out}) {
    while (text->size() < 60'000) *text += static_cast<char>(letters.below(5) == 0 ? ' ' : 'a' + letters.below(20));
  }
  return prose;
}

}  // namespace tessera::galore
