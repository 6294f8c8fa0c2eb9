#include "tessera/methods/shortgpt/experiment_data.h"

#include <algorithm>

#include "tessera/base/error.h"
#include "tessera/base/random.h"
#include "tessera/data/sources.h"
#include "tessera/run/installed.h"

namespace tessera::shortgpt {
namespace {

// UTF-8 of a code point below 0x800.
std::string letter(int code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

// A byte-level tokenizer without merges: every byte is a token, under the letters that byte-level BPE gives to bytes.
std::string byte_tokenizer() {
  nlohmann::json vocabulary;
  int spare = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool shown = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    vocabulary[letter(shown ? byte : spare++)] = byte;
  }
  return nlohmann::json{
      {"version", "1.0"},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}}}
      .dump();
}

OpenedModel random_model() {
  OpenedModel opened;
  opened.name = "a random model of 6 layers";
  const auto config = lm::fresh_config({{"model_type", "llama"},
                                        {"vocab_size", 256},
                                        {"hidden_size", 32},
                                        {"intermediate_size", 64},
                                        {"num_hidden_layers", 6},
                                        {"num_attention_heads", 4},
                                        {"num_key_value_heads", 2},
                                        {"max_position_embeddings", 512},
                                        {"rms_norm_eps", 1e-5},
                                        {"tie_word_embeddings", true}});
  opened.loaded.model = lm::Transformer(config);
  lm::init_weights(opened.loaded.model, 1);
  opened.loaded.model->eval();
  opened.tokenizer = std::make_shared<text::Tokenizer>(text::Tokenizer::from_json(byte_tokenizer(), "byte tokenizer"));
  opened.loaded.tokenizer = opened.tokenizer;
  opened.loaded.dtype_note = "fp32";
  return opened;
}

std::string made_up_text(size_t words, uint64_t seed) {
  constexpr std::string_view list[] = {"river", "stone", "carries", "the", "a", "light", "under", "old", "bridge", "slowly", "and", "wind"};
  RandomStream random(seed, "shortgpt/words");
  std::string text;
  for (size_t i = 0; i < words; ++i) text += std::string(list[random.below(std::size(list))]) + (i % 12 == 11 ? ".\n" : " ");
  return text;
}

std::vector<data::ChoiceItem> made_up_items(int64_t count) {
  std::vector<data::ChoiceItem> items;
  for (int64_t i = 0; i < count; ++i) {
    items.push_back({.question = "Definition: water that flows. Word:", .choices = {" river", " stone", " light", " wind"}, .answer = 0});
  }
  return items;
}

std::string glosses(const data::WordNet& wordnet, size_t bytes) {
  std::string text;
  const size_t stride = std::max<size_t>(1, wordnet.synsets.size() / 4000);
  for (size_t i = 0; i < wordnet.synsets.size() && text.size() < bytes; i += stride) {
    text += wordnet.synsets[i].lemmas.front() + ": " + wordnet.synsets[i].gloss + "\n";
  }
  return text;
}

bool text_installed() {
  return data::installed(data::find_source("anarchism")) && data::installed(data::find_source("debian-handbook")) &&
         std::filesystem::exists("/usr/share/wordnet/data.noun");
}

const run::PackagedModel& packaged(const std::string& name) {
  for (const auto& model : run::packaged_models()) {
    if (model.name == name) return model;
  }
  throw InputError("{} is no packaged model; see tessera doctor", name);
}

}  // namespace

Windows spread(const text::Tokenizer& tokenizer, std::string_view text, int64_t window, int64_t count) {
  auto all = cut(first_tokens(tokenizer, text, 1 << 18), window);
  std::erase_if(all, [&](const torch::Tensor& w) { return w.size(0) != window; });
  if (static_cast<int64_t>(all.size()) < count) {
    throw InputError("the text has {} windows of {} tokens, the experiment needs {}; install the whole text", all.size(), window, count);
  }
  Windows chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(all[static_cast<size_t>(i * static_cast<int64_t>(all.size()) / count)]);
  return chosen;
}

Windows behind_bos(const text::Tokenizer& tokenizer, Windows windows) {
  const auto bos = tokenizer.bos_id();
  if (bos) {
    for (auto& window : windows) window = torch::cat({torch::full({1}, *bos, torch::kLong), window});
  }
  return windows;
}

bool has_model(const std::string& name) { return run::is_installed(packaged(name)); }

ExperimentData experiment_data(const std::string& model, const Plan& plan, bool quick, const run::Context& context) {
  ExperimentData data;
  data.real_model = !quick || has_model(model);
  data.real_text = !quick || text_installed();
  data.opened =
      data.real_model ? open_model(run::find_model(model, "weights ").string(), context, {.dtype = lm::DtypeChoice::fp32}) : random_model();
  if (data.real_model) data.opened.name = packaged(model).title;
  auto& transformer = data.opened.transformer("reproduce");
  if (plan.quick_depth > 0 && transformer->depth() > plan.quick_depth) {
    std::vector<int64_t> rest;
    for (int64_t i = plan.quick_depth; i < transformer->depth(); ++i) rest.push_back(i);
    transformer->remove_blocks(rest);
  }
  const auto& tokenizer = *data.opened.tokenizer;
  std::string handbook, gloss_text;
  if (data.real_text) {
    const auto wordnet = data::read_wordnet();
    data.calibration_text = data::read_source("anarchism", {}, quick ? 60'000 : 1'200'000);
    handbook = data::read_source("debian-handbook", {}, quick ? 60'000 : 600'000);
    gloss_text = glosses(wordnet, 120'000);
    data::WordNetItemOptions how;
    how.items = static_cast<size_t>(plan.items);
    how.token_count = [&](std::string_view text) { return tokenizer.encode_ids(text, {.add_special_tokens = false}).size(); };
    data.items = data::wordnet_items(wordnet, how);
  } else {
    data.calibration_text = made_up_text(4000, 1);
    handbook = made_up_text(4000, 2);
    gloss_text = made_up_text(2000, 3);
    data.items = made_up_items(plan.items);
  }
  const auto calibration = spread(tokenizer, data.calibration_text, plan.window, plan.calibration_sets * plan.calibration_windows);
  for (int64_t s = 0; s < plan.calibration_sets; ++s) {
    const auto begin = calibration.begin() + s * plan.calibration_windows;
    data.calibration.emplace_back(begin, begin + plan.calibration_windows);
  }
  // The first half of the handbook is evaluated, the rest gives the prompts.
  const int64_t half = (plan.sweep_windows + 1) / 2;
  const auto pages = spread(tokenizer, handbook, plan.window, half + plan.continuations);
  const auto entries = spread(tokenizer, gloss_text, plan.window, half);
  for (int64_t i = 0; i < plan.sweep_windows; ++i) {
    data.evaluation.push_back(i % 2 == 0 ? pages[static_cast<size_t>(i / 2)] : entries[static_cast<size_t>(i / 2)]);
  }
  for (int64_t i = 0; i < plan.continuations; ++i) {
    const auto& page = pages[static_cast<size_t>(half + i)];
    data.prompts.emplace_back(page.const_data_ptr<int64_t>(), page.const_data_ptr<int64_t>() + plan.prompt_tokens);
  }
  return data;
}

}  // namespace tessera::shortgpt
