#include "tessera/methods/danube/retokenize.h"

#include <unordered_map>

#include "tessera/base/error.h"
#include "tessera/base/random.h"

namespace tessera::danube {

std::vector<std::string> piece_texts(const text::Tokenizer& tokenizer) {
  std::vector<std::string> texts;
  for (int64_t id = 0; id < tokenizer.size(); ++id) {
    std::string piece = tokenizer.piece(static_cast<text::TokenId>(id)).value_or("");
    for (const std::string_view blank : {"\u2581", "\u0120"})
      if (piece.starts_with(blank)) piece.replace(0, blank.size(), " ");
    texts.push_back(std::move(piece));
  }
  return texts;
}

std::vector<int64_t> match_pieces(const std::vector<std::string>& old_texts, const std::vector<std::string>& new_texts) {
  std::unordered_map<std::string_view, int64_t> ids;
  for (size_t i = 0; i < old_texts.size(); ++i) ids.emplace(old_texts[i], static_cast<int64_t>(i));
  std::vector<int64_t> from;
  from.reserve(new_texts.size());
  for (const auto& each : new_texts) {
    const auto found = each.empty() ? ids.end() : ids.find(each);
    from.push_back(found == ids.end() ? -1 : found->second);
  }
  return from;
}

double mapped_fraction(const std::vector<int64_t>& from) {
  const auto mapped = std::count_if(from.begin(), from.end(), [](int64_t id) { return id >= 0; });
  return from.empty() ? 0.0 : static_cast<double>(mapped) / static_cast<double>(from.size());
}

torch::Tensor retokenized(const torch::Tensor& table, const std::vector<int64_t>& from, double std, uint64_t seed,
                          const std::string& name) {
  torch::NoGradGuard no_grad;
  const int64_t width = table.size(1);
  auto made = torch::empty({static_cast<int64_t>(from.size()), width}, table.options().requires_grad(false));
  const RandomStream random(seed, "retokenize " + name);
  for (size_t i = 0; i < from.size(); ++i) {
    auto row = made[static_cast<int64_t>(i)];
    if (from[i] >= table.size(0))
      throw InputError("{}: row {} of {}; give the tokenizer that the model was trained with", name, from[i], table.size(0));
    if (from[i] >= 0) {
      row.copy_(table[from[i]]);
      continue;
    }
    auto stream = random.at(i);
    std::vector<float> values;
    for (int64_t k = 0; k < width; ++k) values.push_back(static_cast<float>(std * stream.normal()));
    row.copy_(torch::tensor(values));
  }
  return made;
}

lm::Transformer retokenized_model(const lm::Transformer& model, const std::vector<int64_t>& from, uint64_t seed, const RoleIds& ids) {
  torch::NoGradGuard no_grad;
  auto raw = model->config().raw;
  raw["vocab_size"] = from.size();
  const auto role = [&](const char* key, const std::optional<int64_t>& id) { raw[key] = id ? lm::Json(*id) : lm::Json(); };
  role("bos_token_id", ids.bos);
  role("eos_token_id", ids.eos);
  role("pad_token_id", ids.pad);
  lm::Transformer made(lm::parse_config(raw));
  made->to(model->device(), model->dtype());
  const auto old = model->named_parameters();
  for (auto& item : made->named_parameters()) {
    const auto& source = *old.find(item.key());
    const bool table = item.key() == "model.embed_tokens.weight" || item.key() == "lm_head.weight";
    item.value().set_requires_grad(false);
    item.value().copy_(table ? retokenized(source, from, model->config().init_std, seed, item.key()) : source);
  }
  made->fuse();
  made->eval();
  return made;
}

}  // namespace tessera::danube
