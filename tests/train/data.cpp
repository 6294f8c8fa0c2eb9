// Corpora, token caches, mixes, and the language task.
#include <gmock/gmock.h>

#include <fstream>

#include "tessera/base/error.h"
#include "tessera/train/checkpoints.h"
#include "tessera/train/corpus.h"
#include "tessera/train/language.h"
#include "tests/train/doubles.h"

namespace tessera::train {

static std::string thrown(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

static TokenCache cache_of(const std::filesystem::path& path, const std::vector<std::vector<int32_t>>& documents, int64_t vocab = 1000) {
  TokenCacheWriter writer(path, vocab);
  for (const auto& document : documents) writer.add(document);
  writer.commit({{"corpus", "test"}});
  return TokenCache::open(path);
}

TEST(TokenCache, GivesBackWhatWasWritten) {
  TrainFolder folder;
  for (const int64_t vocab : {1000, 70'000}) {
    const auto cache = cache_of(folder / fmt::format("{}.safetensors", vocab), {{1, 2, 3}, {}, {999}}, vocab);
    EXPECT_EQ(cache.tokens(), 4);
    EXPECT_EQ(cache.documents(), 2);
    EXPECT_EQ(cache.begin(1), 3);
    EXPECT_EQ(cache.token(3), 999);
    EXPECT_EQ(cache.metadata().at("corpus"), "test");
  }
}

TEST(TokenCache, RefusesTornFiles) {
  TrainFolder folder;
  cache_of(folder / "a", {{1, 2, 3}, {4}});
  std::filesystem::resize_file(folder / "a", std::filesystem::file_size(folder / "a") - 3);
  EXPECT_THROW(TokenCache::open(folder / "a"), InputError);
  std::ofstream(folder / "b") << "no cache";
  EXPECT_THROW(TokenCache::open(folder / "b"), InputError);
}

// Documents of one number each: corpus c, document d is 100 c + d, repeated.
static MixedTokens mixed(const TrainFolder& folder, const MixedTokensOptions& options) {
  std::vector<MixedTokens::Corpus> corpora;
  for (int c = 0; c < 2; ++c) {
    std::vector<std::vector<int32_t>> documents;
    for (int d = 0; d < 7; ++d) documents.emplace_back(3 + 2 * d, 100 * c + d);
    corpora.push_back({fmt::format("c{}", c), cache_of(folder / fmt::format("c{}", c), documents)});
  }
  return {std::move(corpora), options};
}

TEST(MixedTokens, ReadsEveryTokenOnceAnEpochWhateverTheRowLength) {
  TrainFolder folder;
  auto rows = mixed(folder, {.seed = 4, .piece = 5});
  std::map<int64_t, int> count;
  std::vector<int64_t> stream;
  for (const int64_t length : {1, 2, 9, 9, 21, 21}) {  // 63 tokens are one epoch of a corpus
    const auto row = rows.next(length, {0.0, 1.0});
    if (!stream.empty()) {
      EXPECT_EQ(stream.back(), row.tokens.front());  // the target of the last row's end
    }
    stream.insert(stream.end(), row.tokens.begin(), row.tokens.end());
    EXPECT_TRUE(std::equal(row.tokens.begin() + 1, row.tokens.end(), row.targets.begin()));
    for (const auto token : row.tokens) ++count[token];
    stream.push_back(row.targets.back());
  }
  ASSERT_EQ(count.size(), 7U);
  for (int d = 0; d < 7; ++d) EXPECT_EQ(count[100 + d], 3 + 2 * d);
  EXPECT_DOUBLE_EQ(rows.epochs(1), 1.0);
}

TEST(MixedTokens, GoesBackToAPositionAndSkipsForOtherRanks) {
  TrainFolder folder;
  auto rows = mixed(folder, {.seed = 1, .piece = 4, .mask_documents = true}), again = mixed(folder, {.seed = 1, .piece = 4});
  for (int i = 0; i < 9; ++i) rows.next(11, {1.0, 2.0});
  const auto position = nlohmann::ordered_json::parse(rows.position().dump());
  const auto wanted = rows.next(11, {1.0, 2.0});
  again.seek(position);
  const auto row = again.next(11, {1.0, 2.0});
  EXPECT_EQ(row.tokens, wanted.tokens);
  EXPECT_EQ(row.documents, wanted.documents);
  for (size_t i = 0; i + 1 < row.tokens.size(); ++i)
    EXPECT_EQ(wanted.targets[i], row.documents[i] == row.documents[i + 1] ? row.tokens[i + 1] : -1) << i;
  again.seek(position);
  again.skip(11, {1.0, 2.0});
  EXPECT_EQ(again.position(), rows.position());
  EXPECT_THAT(thrown([&] { again.seek({{"rows", 3U}}); }), testing::HasSubstr("other corpora"));
  auto wrong = position;
  wrong["corpora"]["c0"]["pieces"] = 3U;
  EXPECT_THAT(thrown([&] { again.seek(wrong); }), testing::HasSubstr("resume with the data of the run"));
}

// Documents of 3, 5, .. 15 tokens that are all one number: 100, 101, ...
TEST(MixedTokens, PacksWholeDocumentsOrOneARow) {
  TrainFolder folder;
  for (const auto packing : {Packing::whole, Packing::single}) {
    auto rows = mixed(folder, {.seed = 4, .piece = 16, .packing = packing}),
         again = mixed(folder, {.seed = 4, .piece = 16, .packing = packing});
    std::map<int64_t, int> count;
    int padded = 0, made = 0;
    for (; rows.epochs(1) < 1.0; ++made) {
      const auto row = rows.next(16, {0.0, 1.0});
      again.skip(16, {0.0, 1.0});
      ASSERT_EQ(row.tokens.size(), 16U);
      ASSERT_EQ(row.targets.size(), 16U);
      for (size_t i = 0; i < 16; ++i) {
        const bool padding = row.tokens[i] == 0;
        padded += padding ? 1 : 0;
        if (!padding) ++count[row.tokens[i]];
        const bool follows = i + 1 < 16 && row.tokens[i + 1] != 0;
        EXPECT_EQ(row.targets[i], padding || !follows ? -1 : row.tokens[i + 1]);
        const size_t before = i > 0 ? i - 1 : 0;
        EXPECT_EQ(row.documents[i] - row.documents[before], row.tokens[i] == row.tokens[before] ? 0 : 1);
      }
    }
    EXPECT_EQ(again.position(), rows.position());
    for (int d = 0; d < 7; ++d) EXPECT_EQ(count[100 + d], 3 + 2 * d) << "no document is cut";
    EXPECT_EQ(padded, 16 * made - 63);
    EXPECT_EQ(made == 7, packing == Packing::single) << "seven documents";
  }
  // One longer than a row goes on in the next, and targets within it stay.
  auto rows = mixed(folder, {.seed = 4, .piece = 16, .mask_documents = true, .packing = Packing::single});
  int64_t counted = 0;
  while (rows.epochs(1) < 1.0)
    for (const auto target : rows.next(8, {0.0, 1.0}).targets) counted += target >= 0 ? 1 : 0;
  EXPECT_EQ(counted, 63 - 7) << "all but each document's last";
}

TEST(MixedTokens, MixesByWeight) {
  TrainFolder folder;
  auto rows = mixed(folder, {.seed = 2, .piece = 4});
  int second = 0;
  for (int i = 0; i < 2000; ++i) second += rows.next(2, {1.0, 3.0}).tokens[0] >= 100 ? 1 : 0;
  EXPECT_NEAR(second / 2000.0, 0.75, 0.03);
}

TEST(Corpus, NamesWeightsAndWhatIsNotThere) {
  TrainFolder folder;
  std::filesystem::create_directories(folder / "letters");
  std::ofstream(folder / "letters/a.txt") << "Dear reader.";
  const auto path = (folder / "letters").string();
  const auto corpora = parse_corpora({path, path + "/=2.5", "anarchism=3"});
  EXPECT_EQ(corpora[0].name, "letters");
  EXPECT_EQ(corpora[1].name, "letters-2");
  EXPECT_DOUBLE_EQ(corpora[1].weight, 2.5);
  EXPECT_EQ(corpora[2].name, "anarchism");
  EXPECT_THAT(thrown([] { parse_corpora({"anarchsm"}); }), testing::HasSubstr("did you mean anarchism?"));
  EXPECT_DOUBLE_EQ(parse_corpora({"anarchism=70%"})[0].weight, 70.0);
  EXPECT_THAT(thrown([] { parse_corpora({"anarchism=0"}); }), testing::HasSubstr("give a number above 0"));
}

TEST(Corpus, TokenisesDocumentsAndHoldsPartsOut) {
  TrainFolder folder;
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += fmt::format("Line {} of a long letter.\n", i);
  std::ofstream(folder / "long.txt") << text;
  std::ofstream(folder / "short.txt") << "Good day.";
  const auto corpora = parse_corpora({folder.path().string()});
  const auto tokenizer = text::Tokenizer::from_json(train_tokenizer(corpora, 400));
  EXPECT_EQ(tokenizer.size(), 400);
  tokenise(corpora[0], tokenizer, {.held_out = 0.1, .path = folder / "t", .held_out_path = folder / "h"});
  const auto kept = TokenCache::open(folder / "t"), held = TokenCache::open(folder / "h");
  std::vector<int32_t> ids, held_ids;
  for (int64_t i = 0; i < kept.tokens(); ++i) ids.push_back(kept.token(i));
  for (int64_t i = 0; i < held.tokens(); ++i) held_ids.push_back(held.token(i));
  const auto bytes = [&](const std::vector<int32_t>& each) { return static_cast<double>(tokenizer.decode(each).size()); };
  EXPECT_NEAR(bytes(held_ids) / (bytes(ids) + bytes(held_ids)), 0.1, 0.03);
  EXPECT_EQ(bytes(ids) + bytes(held_ids), static_cast<double>(text.size() + 9));
  EXPECT_GT(held.documents(), 1);
}

static lm::Transformer little_model(torch::Dtype dtype = torch::kFloat32) {
  lm::Transformer model(lm::fresh_config({{"model_type", "llama"},
                                          {"vocab_size", 107},
                                          {"hidden_size", 16},
                                          {"intermediate_size", 24},
                                          {"num_hidden_layers", 2},
                                          {"num_attention_heads", 2},
                                          {"max_position_embeddings", 64},
                                          {"tie_word_embeddings", true}}));
  lm::init_weights(model, 5);
  model->to(dtype);
  return model;
}

TEST(Language, LossEqualsTheModelsOwnAndRecomputationChangesNothing) {
  torch::manual_seed(8);
  auto model = little_model();
  const LanguageRows rows{torch::randint(107, {3, 12}, torch::kInt64), torch::randint(-2, 107, {3, 12}, torch::kInt64), {}};
  const auto plain = model->losses(model->hidden(rows.tokens), rows.targets).sum();
  plain.backward();
  std::vector<torch::Tensor> expected;
  for (const auto& p : model->parameters()) expected.push_back(p.grad().clone());
  for (const bool recompute : {false, true}) {
    model->zero_grad();
    const auto loss = language_loss(model, rows, recompute);
    EXPECT_NEAR(loss.item<double>(), plain.item<double>(), 1e-5 * plain.item<double>());
    loss.backward();
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_LE((model->parameters()[i].grad() - expected[i]).abs().max().item<double>(), 1e-5 * expected[i].abs().max().item<double>());
  }
}

TEST(Language, StagesKeepTheTokenBatchAndSwitchAtTheirBudget) {
  const LanguageOptions options{.stages = {{100, 4, {}}, {33, 16, {}}}, .batch = 32};
  EXPECT_EQ(steps_of(options), 4 + 2);
  EXPECT_EQ(stage_of(options, 4), 0U);
  EXPECT_EQ(stage_of(options, 5), 1U);
  EXPECT_THAT(thrown([&] {
                check_stages({.stages = {{100, 5, {}}}, .batch = 32}, little_model()->config());
              }),
              testing::HasSubstr("give a multiple of 5"));
  TrainFolder folder;
  auto corpora = std::make_shared<MixedTokens>(mixed(folder, {.seed = 4, .piece = 16}));
  auto task = language_task(little_model(), corpora, {}, options, {});
  for (int64_t step = 1; step <= 6; ++step) {
    ASSERT_EQ(task.micro_batches(step), 1);
    EXPECT_EQ(task.batch(step, 0).tokens, 32);
  }
}

TEST(Language, MicroBatchesOfMaskedRowsEqualOneBatch) {
  TrainFolder folder;
  std::vector<double> norms;
  for (const int64_t micro : {0, 3}) {
    auto corpora = std::make_shared<MixedTokens>(mixed(folder, {.seed = 4, .piece = 9, .mask_documents = true}));
    const LanguageOptions options{.stages = {{256, 16, {}}}, .batch = 128, .micro = micro, .mask_documents = true};
    Trainer trainer(language_task(little_model(), corpora, {}, options, {}),
                    {.optimizer = plain_adamw, .schedule = {.peak = 0.01, .total = 256}});
    const auto report = trainer.step();
    EXPECT_LT(report.counted, 128);
    norms.push_back(report.norm);
    norms.push_back(report.loss);
  }
  EXPECT_NEAR(norms[0], norms[2], 1e-6 * norms[0]);
  EXPECT_NEAR(norms[1], norms[3], 1e-6 * norms[1]);
}

TEST(Checkpoints, KeepTheLastGoodOneWhateverFails) {
  TrainFolder folder;
  Checkpoints checkpoints(folder.path(), 2);
  EXPECT_FALSE(checkpoints.latest());
  const auto write = [](const std::filesystem::path& to) { std::ofstream(to / "x") << "data"; };
  for (const int64_t step : {5, 10, 15}) checkpoints.save(step, write);
  EXPECT_EQ(checkpoints.latest(), folder / "checkpoint-15");
  EXPECT_FALSE(std::filesystem::exists(folder / "checkpoint-5"));
  EXPECT_TRUE(std::filesystem::exists(folder / "checkpoint-10/x"));
  const auto failed = thrown([&] { checkpoints.save(20, [](const auto&) { throw WorkError("the disk is full; free some space"); }); });
  EXPECT_EQ(failed, fmt::format("checkpoint-20 was not saved: the disk is full; {} is intact: free some space and resume from it",
                                (folder / "checkpoint-15").string()));
  EXPECT_EQ(checkpoints.latest(), folder / "checkpoint-15");
  std::filesystem::create_directory(folder / ".checkpoint-20.77-0.tmp");  // what a killed save leaves
  checkpoints.remove_torn();
  EXPECT_FALSE(std::filesystem::exists(folder / ".checkpoint-20.77-0.tmp"));
  std::filesystem::remove(folder / "latest");
  EXPECT_EQ(checkpoints.latest(), folder / "checkpoint-15");
}

}  // namespace tessera::train
