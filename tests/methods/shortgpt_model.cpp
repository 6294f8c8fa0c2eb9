// ShortGPT on whole models: scores and removal beside Transformers, exactness of removal, prefill-only caches, quantising, healing.

#include "tests/methods/shortgpt_model.h"

#include <gtest/gtest.h>

#include "tessera/base/error.h"
#include "tessera/lm/generate.h"
#include "tessera/methods/shortgpt/heal.h"
#include "tessera/methods/shortgpt/prune.h"
#include "tessera/methods/shortgpt/quantise_model.h"
#include "tessera/methods/shortgpt/score.h"

namespace tessera::shortgpt {
namespace {

torch::Tensor some_ids(int64_t batch = 2, int64_t tokens = 9) {
  torch::manual_seed(7);
  return torch::randint(40, {batch, tokens}, torch::kLong);
}

Windows windows_of(const torch::Tensor& ids) { return ids.unbind(0); }

// The model a golden holds, from a folder written here; its own tensors are the rest.
struct Golden {
  explicit Golden(const std::string& name) : weights(tensor::Weights::open(golden_path(name))) {
    std::filesystem::create_directory(folder / "model");
    write_file(folder / "model/config.json", weights.metadata().at("config"));
    tensor::NamedTensors tensors;
    for (const auto& info : weights.tensors()) {
      if (info.name.starts_with("model.")) tensors.emplace_back(info.name, weights.load(info.name));
    }
    tensor::save_safetensors(folder / "model/model.safetensors", tensors);
    lm::LoadOptions options;
    options.dtype = lm::DtypeChoice::fp32;
    options.tokenizer = false;
    model = lm::load_model((folder / "model").string(), options).model;
  }
  torch::Tensor operator[](const std::string& name) const { return weights.load(name); }

  TestFolder folder;
  tensor::Weights weights;
  lm::Transformer model{nullptr};
};

TEST(ShortGpt, ScoresAndPrunedLogitsEqualTransformers) {
  torch::NoGradGuard no_gradient;
  for (const std::string name : {"shortgpt_llama", "shortgpt_gemma3"}) {
    Golden golden(name);
    const auto ids = golden["ids"];
    EXPECT_LT(relative(golden.model->forward(ids), golden["logits"]), 1e-4) << name;
    auto layers = layers_of(golden.model);
    const auto raw = measure_influence(*layers, windows_of(ids)).result();
    const auto normed = measure_influence(*layers, windows_of(ids), {.last_normed = true}).result();
    for (size_t i = 0; i < raw.size(); ++i) {
      EXPECT_NEAR(raw[i].bi.mean, golden["bi"][static_cast<int64_t>(i)].item<double>(), 1e-5) << name << i;
      EXPECT_NEAR(normed[i].bi.mean, golden["bi_normed"][static_cast<int64_t>(i)].item<double>(), 1e-5) << name << i;
    }
    remove(golden.model, {.blocks = {1, 3}, .attention = {}, .ffn = {}});
    EXPECT_LT(relative(golden.model->forward(ids), golden["pruned_logits"]), 1e-4) << name;
  }
}

TEST(ShortGpt, GemmaLayerTypesFollowTheirLayer) {
  Golden golden("shortgpt_gemma3");
  remove(golden.model, {.blocks = {1, 3}, .attention = {}, .ffn = {}});
  TestFolder out;
  lm::save_model(golden.model, out / "pruned", {});
  const auto config = nlohmann::json::parse(read_file(out / "pruned/config.json"));
  EXPECT_EQ(config["num_hidden_layers"], 5);
  EXPECT_EQ(config["layer_types"], nlohmann::json({"sliding_attention", "full_attention", "sliding_attention", "full_attention",
                                                   "sliding_attention"}));  // of 0 2 4 5 6
  EXPECT_EQ(config["tessera"]["removed_layers"], nlohmann::json({1, 3}));
}

TEST(ShortGpt, ABlockThatDoesNothingScoresZeroAndItsRemovalChangesNoBit) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_model();
  model->block(2)->self_attn->o_proj->weight.zero_();
  model->block(2)->mlp->down_proj->weight.zero_();
  const auto ids = some_ids();
  auto layers = layers_of(model);
  const auto scores = measure_influence(*layers, windows_of(ids)).result();
  EXPECT_NEAR(scores[2].bi.mean, 0, 1e-12);
  EXPECT_EQ(order_by(Metric::block_influence, scores).front(), 2);
  const auto before = model->forward(ids);
  remove(model, {.blocks = {2}, .attention = {}, .ffn = {}});
  EXPECT_TRUE(torch::equal(model->forward(ids), before));
}

TEST(ShortGpt, RemovalEqualsSkippingToTheLastBit) {
  torch::NoGradGuard no_gradient;
  const auto ids = some_ids();
  for (const Removal& removal : {Removal{{1, 4}, {}, {}}, Removal{{}, {0, 3}, {5}}, Removal{{2}, {1}, {3}}}) {
    lm::PassOptions skipping;
    skipping.skip = skip_of(removal);
    const auto skipped = tiny_model()->forward(ids, skipping);
    auto pruned = tiny_model();
    remove(pruned, removal);
    EXPECT_TRUE(torch::equal(pruned->forward(ids), skipped));
  }
  auto once = tiny_model(), twice = tiny_model();
  remove(once, {{1, 4}, {}, {}});
  remove(twice, {{1}, {}, {}});
  remove(twice, {{3}, {}, {}});  // the block that was 4
  EXPECT_TRUE(torch::equal(once->forward(ids), twice->forward(ids)));
  EXPECT_EQ(once->config().raw["tessera"]["removed_layers"], twice->config().raw["tessera"]["removed_layers"]);
  EXPECT_THROW(remove(once, {{0, 1, 2, 3}, {}, {}}), InputError);
  EXPECT_THROW(remove(once, {{1}, {1}, {}}), InputError);
}

TEST(ShortGpt, PrefixSharingOnATransformerIsExact) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_model();
  const auto ids = some_ids(4, 12);
  auto layers = layers_of(model);
  const auto shared = losses_without(*layers, windows_of(ids), {{}, {2}, {0, 5}, {3, 4}}, 4);
  size_t v = 0;
  for (const std::vector<int64_t>& gone : std::vector<std::vector<int64_t>>{{}, {2}, {0, 5}, {3, 4}}) {
    lm::PassOptions options;
    options.skip = lm::Skip::blocks(gone);
    const auto pass_states = [&] {
      auto pass = model->start(ids, options);
      auto x = model->embed(ids, pass);
      for (int64_t i = 0; i < model->depth(); ++i) x = model->block(i)->forward(x, pass, i);
      return x;
    }();
    const auto sums = model->losses(model->final_norm(pass_states.slice(1, 0, 11)), ids.slice(1, 1)).to(torch::kDouble).sum(1);
    for (int64_t b = 0; b < 4; ++b) EXPECT_EQ(shared[v].nats[static_cast<size_t>(b)], sums[b].item<double>());
    ++v;
  }
}

TEST(ShortGpt, BranchesAreScoredAtTheirOwnBorders) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_model(3);
  const auto ids = some_ids();
  auto pass = model->start(ids);
  const auto x0 = model->embed(ids, pass), x1 = model->block(0)->after_attention(x0, pass, 0), x2 = model->block(0)->after_ffn(x1);
  const auto scores = measure_influence(*layers_of(model, true), {ids[0], ids[1]}).result();
  ASSERT_EQ(scores.size(), 6U);
  EXPECT_NEAR(scores[0].bi.mean, (1 - torch::cosine_similarity(x0, x1, -1)).mean().item<double>(), 1e-5);
  EXPECT_NEAR(scores[1].bi.mean, (1 - torch::cosine_similarity(x1, x2, -1)).mean().item<double>(), 1e-5);
}

TEST(ShortGpt, PrefillOnlyStoresTheSkippedLayersKeysAndDecodesWithAll) {
  torch::NoGradGuard no_gradient;
  auto model = tiny_model();
  const auto ids = some_ids(1, 8);
  auto cache = model->new_cache();
  lm::PassOptions options;
  options.cache = &cache;
  options.skip = lm::Skip::blocks({2}, true);
  auto pass = model->start(ids, options);
  auto x = model->embed(ids, pass);
  torch::Tensor entering;
  for (int64_t i = 0; i < model->depth(); ++i) {
    if (i == 2) entering = x;
    x = model->block(i)->forward(x, pass, i);
    if (i == 2) {
      EXPECT_TRUE(torch::equal(x, entering));
    }
  }
  model->finish(pass, 8);
  auto block = model->block(2);
  const auto normed = block->input_layernorm(entering);
  const auto k = nn::rotate(block->self_attn->k_proj(normed).reshape({1, 8, 1, 8}), pass.rope);
  const auto v = block->self_attn->v_proj(normed).reshape({1, 8, 1, 8});
  // One more token shows what the slot holds: its first 8 entries are those of the skipped layer.
  const auto [keys, values] = cache.slots[2].append(torch::zeros({1, 1, 1, 8}), torch::zeros({1, 1, 1, 8}));
  EXPECT_TRUE(torch::allclose(keys.slice(2, 0, 8), k.transpose(1, 2), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(values.slice(2, 0, 8), v.transpose(1, 2), 1e-5, 1e-6));
}

TEST(ShortGpt, GenerationSkipsWhereTheModeSays) {
  auto model = tiny_model();
  const std::vector<std::vector<int64_t>> prompts = {{3, 9, 4, 11, 2, 8}};
  const auto ids_with = [&](const lm::Skip& skip) {
    lm::GenerateOptions options;
    options.max_tokens = 12;
    options.sampling.temperature = 0;
    options.skip = skip;
    return lm::generate(model, prompts, options).sequences[0].ids;
  };
  const auto plain = ids_with({});
  EXPECT_EQ(ids_with(lm::Skip::blocks({}, true)), plain);
  auto pruned = tiny_model();
  remove(pruned, {{1, 3}, {}, {}});
  const auto everywhere = ids_with(lm::Skip::blocks({1, 3}));
  lm::GenerateOptions options;
  options.max_tokens = 12;
  options.sampling.temperature = 0;
  EXPECT_EQ(lm::generate(pruned, prompts, options).sequences[0].ids, everywhere);
  // Prefill only, by hand: the prompt without the blocks but with their keys, then every token through all blocks.
  torch::NoGradGuard no_gradient;
  auto cache = model->new_cache();
  lm::PassOptions pass;
  pass.cache = &cache;
  pass.skip = lm::Skip::blocks({1, 3}, true);
  auto next = model->forward(torch::tensor(prompts[0]).unsqueeze(0), pass).select(1, 5).argmax(-1);
  std::vector<int64_t> by_hand;
  pass.skip = {};
  for (int t = 0; t < 12; ++t) {
    by_hand.push_back(next.item<int64_t>());
    next = model->forward(next.unsqueeze(0), pass).select(1, 0).argmax(-1);
  }
  EXPECT_EQ(ids_with(lm::Skip::blocks({1, 3}, true)), by_hand);
}

TEST(ShortGpt, RoundingAndRemovalCommuteBitForBit) {
  torch::NoGradGuard no_gradient;
  auto first = tiny_model(), second = tiny_model();
  quantise_nearest(first);
  remove(first, {{1, 4}, {}, {}});
  remove(second, {{1, 4}, {}, {}});
  quantise_nearest(second);
  const auto a = first->named_parameters(), b = second->named_parameters();
  ASSERT_EQ(a.size(), b.size());
  for (const auto& parameter : a) EXPECT_TRUE(torch::equal(parameter.value(), b[parameter.key()])) << parameter.key();
  EXPECT_FALSE(torch::equal(first->forward(some_ids()), [] {
    auto plain = tiny_model();
    remove(plain, {{1, 4}, {}, {}});
    return plain->forward(some_ids());
  }()));
}

TEST(ShortGpt, InputsOfABlocksMatricesGiveItsOutput) {
  torch::NoGradGuard no_gradient;
  for (const std::string name : {"shortgpt_llama", "shortgpt_gemma3"}) {
    Golden golden(name);
    auto& model = golden.model;
    auto pass = model->start(golden["ids"]);
    const auto x = model->embed(golden["ids"], pass);
    auto block = model->block(0);
    const auto in = block_inputs(model->config(), block, pass, 0, x);
    EXPECT_TRUE(torch::allclose(in.output, block->forward(x, pass, 0), 1e-5, 1e-5)) << name;
    auto attended = block->self_attn->o_proj(in.attended);
    if (block->pre_feedforward_layernorm) attended = block->post_attention_layernorm(attended);
    EXPECT_TRUE(torch::allclose(x + attended, block->after_attention(x, pass, 0), 1e-5, 1e-5)) << name;
    EXPECT_TRUE(torch::allclose(block->mlp->down_proj(in.inner), block->mlp(in.ffn), 1e-5, 1e-5)) << name;
  }
}

TEST(ShortGpt, GptqOfABlockDisturbsItLessThanRounding) {
  torch::NoGradGuard no_gradient;
  const auto ids = some_ids(24, 32);
  const auto exact = tiny_model(1)->forward(ids);
  auto nearest = tiny_model(1), calibrated = tiny_model(1);
  EXPECT_EQ(quantise_nearest(nearest, {.bits = 3}), quantise_gptq(calibrated, windows_of(ids), {.bits = 3}));
  const auto error = [&](lm::Transformer& model) { return (model->forward(ids) - exact).square().mean().item<double>(); };
  EXPECT_LT(error(calibrated), 0.9 * error(nearest));
}

TEST(ShortGpt, HealingStartsAsThePrunedModelAndMovesWhatWasChosen) {
  for (const bool all : {false, true}) {
    auto model = tiny_model();
    remove(model, {{1, 4}, {}, {}});
    const auto ids = some_ids(8, 16);
    torch::Tensor before;
    {
      torch::NoGradGuard no_gradient;
      before = model->forward(ids);
    }
    const auto inserted = insert_mlps(model, removed_layers(model->config()), 32, 3);
    EXPECT_EQ(inserted, (std::vector<int64_t>{1, 4}));
    EXPECT_EQ(model->depth(), 6);
    {
      torch::NoGradGuard no_gradient;
      EXPECT_TRUE(torch::equal(model->forward(ids), before));
    }
    std::map<std::string, torch::Tensor> old;
    for (const auto& parameter : model->named_parameters()) old[parameter.key()] = parameter.value().detach().clone();
    auto dense = tiny_model();
    const auto losses = heal(model, inserted, windows_of(ids),
                             {.width = 32, .steps = 60, .batch = 4, .learning_rate = 1e-2, .train_all = all, .distill = 0.5}, dense);
    EXPECT_LT(losses.back(), losses.front());
    for (const auto& parameter : model->named_parameters()) {
      const auto& name = parameter.key();
      const bool ours = name.starts_with("model.layers.1.") || name.starts_with("model.layers.4.");
      EXPECT_EQ(!torch::equal(old[name], parameter.value()), all || ours) << name;
    }
  }
}

TEST(ShortGpt, TheGatedMlpsGradientEqualsDifferences) {
  auto model = tiny_model(2);
  model->remove_blocks({0});
  insert_mlps(model, {0}, 6, 1);
  auto block = model->block(0);
  block->to(torch::kDouble);
  auto pass = model->start(some_ids());
  torch::manual_seed(3);
  {
    torch::NoGradGuard no_gradient;
    block->mlp->down_proj->weight.normal_();  // zeros would hide the gate's gradient; the norm inside computes in float32
  }
  const auto x = torch::randn({1, 3, 16}, torch::kDouble);
  const auto value = [&] { return block->after_ffn(x).square().sum(); };
  for (auto& parameter : block->parameters()) parameter.requires_grad_(true);
  value().backward();
  torch::NoGradGuard no_gradient;
  for (auto& item : block->named_parameters()) {
    auto flat = item->detach().flatten();
    for (int64_t i : {int64_t{0}, flat.numel() / 2, flat.numel() - 1}) {
      const double step = 1e-3, at = flat[i].item<double>();
      flat[i] = at + step;
      const double up = value().item<double>();
      flat[i] = at - step;
      const double down = value().item<double>();
      flat[i] = at;
      EXPECT_NEAR(item->grad().flatten()[i].item<double>(), (up - down) / (2 * step), 5e-3 * (1 + std::abs(up - down) / (2 * step)))
          << item.key();
    }
  }
}

TEST(ShortGpt, DistillationLossIsTheDivergence) {
  const auto p = torch::tensor({{0.5, 0.5}}).log(), q = torch::tensor({{0.9, 0.1}}).log();
  EXPECT_NEAR(distillation_loss(p, p).item<double>(), 0, 1e-7);
  EXPECT_NEAR(distillation_loss(p, q).item<double>(), 0.5 * std::log(0.5 / 0.9) + 0.5 * std::log(0.5 / 0.1), 1e-6);
}

TEST(ShortGpt, LayersAreParsedAndCounted) {
  EXPECT_EQ(parse_layers("3,0-1", 5, "--remove"), (std::vector<int64_t>{3, 0, 1}));
  const auto message = [](const std::string& text) {
    try {
      parse_layers(text, 5, "--remove");
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message("7").find("no layer 7; give 0 to 4"), std::string::npos) << message("7");
  EXPECT_NE(message("1-2,2").find("named twice"), std::string::npos);
  EXPECT_NE(message("3-1").find("write 1-3"), std::string::npos);
  for (const char* bad : {"", "a", "1,", "-1", "1--2", "99999999999999999999"}) EXPECT_FALSE(message(bad).empty()) << bad;
  const auto model = tiny_model();
  const auto& config = model->config();
  const double share = static_cast<double>(lm::block_parameter_count(config, 0)) / static_cast<double>(lm::parameter_count(config));
  EXPECT_EQ(count_for_ratio(config, {0, 1, 2, 3, 4, 5}, 2.4 * share), 2);
  EXPECT_EQ(count_for_ratio(config, {0, 1, 2, 3, 4, 5}, 2.6 * share), 3);
  EXPECT_EQ(count_for_ratio(config, {0, 1, 2, 3, 4, 5}, 0.4 * share), 0);
}

// The share of the values' output that quantising changes, at the first token and over all.
std::pair<double, double> value_errors(lm::Transformer& dense, lm::Transformer& quantised, const Windows& windows) {
  torch::NoGradGuard no_gradient;
  const auto ids = torch::stack(windows);
  auto pass = dense->start(ids);
  auto block = dense->block(0);
  const auto in = block->input_layernorm(dense->embed(ids, pass));
  const auto right = block->self_attn->v_proj(in), wrong = quantised->block(0)->self_attn->v_proj(in);
  const auto share = [](const torch::Tensor& a, const torch::Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); };
  return {share(wrong.select(1, 0), right.select(1, 0)), share(wrong, right)};
}

TEST(Gptq, ACountedFirstTokenKeepsItsValue) {
  Windows windows;
  torch::manual_seed(5);
  for (int i = 0; i < 6; ++i) windows.push_back(torch::cat({torch::full({1}, 3, torch::kLong), torch::randint(40, {31}, torch::kLong)}));
  double first[2], all[2];
  for (int counted = 0; counted < 2; ++counted) {
    auto dense = tiny_model(), quantised = tiny_model();
    quantise_gptq(quantised, windows, {.bits = 3, .group = 8}, {.batch = 4, .first_token = counted == 0 ? 1.0 : 64.0});
    std::tie(first[counted], all[counted]) = value_errors(dense, quantised, windows);
  }
  EXPECT_LT(first[1], 0.5 * first[0]);
  EXPECT_LT(all[1], 2 * all[0]) << "the other tokens pay little for it";
}

TEST(Gptq, EqualsTheReference) {
  const auto golden = tensor::Weights::open(golden_path("gptq"));
  HessianSum sum;
  sum.add(golden.load("inputs"));
  for (const bool act_order : {false, true}) {
    const std::string prefix = act_order ? "act_order." : "plain.";
    const auto ours = gptq(golden.load("weight"), sum.value(), {.group = 32, .act_order = act_order});
    const auto different = (ours.codes != golden.load(prefix + "codes")).to(torch::kFloat).mean().item<double>();
    EXPECT_LT(different, 0.002) << prefix;  // float32 against float64: a tie may round the other way
    EXPECT_TRUE(torch::allclose(ours.scales, golden.load(prefix + "scales"), 1e-3, 1e-5)) << prefix;
    EXPECT_TRUE(torch::equal(ours.zeros, golden.load(prefix + "zeros"))) << prefix;
  }
}

}  // namespace
}  // namespace tessera::shortgpt
