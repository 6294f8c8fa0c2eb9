// A tokenizer carried from a folder to a GGUF and back: the same ids, texts, roles and chat template at every station.

#include "tessera/lm/tokenizer_files.h"

#include "tessera/base/error.h"
#include "tessera/base/files.h"
#include "tessera/tensor/gguf.h"
#include "tessera/text/tokenizer.h"
#include "tests/lm/golden.h"

namespace tessera::lm {

using text::TokenId;
using text::Tokenizer;

// A golden file of tests/parity/tokenizer.py: a tokenizer.json and what Hugging Face answers for it.
static Json golden_tokenizer(const std::string& name) {
  return Json::parse(read_file(std::filesystem::path(TESSERA_SOURCE_DIR) / "tests/parity/golden" / ("tokenizer_" + name + ".json")));
}

// Its texts, less those that a GGUF, by its rules, cannot encode alike.
static std::vector<std::string> golden_texts(const Json& golden, bool (*unlike)(std::string_view)) {
  std::vector<std::string> texts;
  for (const auto& answer : golden["answers"]) {
    const std::string text = answer["text"];
    if (unlike == nullptr || !unlike(text)) texts.push_back(text);
  }
  return texts;
}

// Mistral's mark goes before the first word only where there is none yet; a GGUF's goes before every text.
static bool starts_with_mark(std::string_view text) { return text.starts_with(' ') || text.starts_with("\u2581") || text.starts_with('<'); }

// Gemma's symbol of three blanks is looked for before blanks become marks, a GGUF's afterwards.
static bool has_three_blanks(std::string_view text) {
  for (size_t at = 0, run = 0; at < text.size();) {
    const size_t length = text[at] == ' ' ? 1 : text.substr(at).starts_with("\u2581") ? 3 : 0;
    run = length > 0 ? run + 1 : 0;
    if (run == 3) return true;
    at += std::max<size_t>(length, 1);
  }
  return false;
}

static void make_folder(const std::filesystem::path& folder, const Json& tokenizer, const Json& roles) {
  std::filesystem::create_directories(folder);
  write_file(folder / "tokenizer.json", tokenizer.dump());
  write_file(folder / "tokenizer_config.json", roles.dump());
}

static void write_gguf(const std::filesystem::path& source, const std::filesystem::path& file) {
  tensor::GgufWriter writer;
  writer.set("general.architecture", "llama");
  write_gguf_tokenizer(source, Json::object(), writer);
  writer.write(file);
}

static void expect_same(const Tokenizer& ours, const Tokenizer& first, const std::vector<std::string>& texts) {
  ASSERT_GT(texts.size(), 90U);
  for (const auto& text : texts) {
    const auto ids = first.encode_ids(text);
    EXPECT_EQ(ours.encode_ids(text), ids) << text;
    EXPECT_EQ(ours.decode(ids, false), first.decode(ids, false)) << text;
    EXPECT_EQ(ours.decode(ids, true), first.decode(ids, true)) << text;
  }
  EXPECT_EQ(ours.bos_id(), first.bos_id());
  EXPECT_EQ(ours.eos_id(), first.eos_id());
  EXPECT_EQ(ours.pad_id(), first.pad_id());
  EXPECT_EQ(ours.spec().chat_template, first.spec().chat_template);
}

struct Family {
  const char *name, *bos, *eos;
  bool (*unlike)(std::string_view) = nullptr;  // texts that a GGUF encodes in another way
};

static void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

class TokenizerFiles : public testing::TestWithParam<Family> {};

TEST_P(TokenizerFiles, FolderToGgufToFolderToGguf) {
  ScratchFolder scratch;
  const auto golden = golden_tokenizer(GetParam().name);
  const auto texts = golden_texts(golden, GetParam().unlike);
  make_folder(scratch / "first", golden["tokenizer"],
              {{"bos_token", GetParam().bos}, {"eos_token", GetParam().eos}, {"chat_template", "{{ messages[0].content }}"}});
  const auto first = Tokenizer::load(scratch / "first");
  ASSERT_TRUE(first.bos_id() && first.eos_id());

  write_gguf(scratch / "first", scratch / "second.gguf");
  expect_same(Tokenizer::load(scratch / "second.gguf"), first, texts);

  std::filesystem::create_directories(scratch / "third");
  write_tokenizer_files(scratch / "second.gguf", {{"eos_token_id", 7}}, scratch / "third");
  expect_same(Tokenizer::load(scratch / "third"), first, texts);
  EXPECT_EQ(Json::parse(read_file(scratch / "third/generation_config.json"))["eos_token_id"], 7);

  write_gguf(scratch / "third", scratch / "fourth.gguf");
  expect_same(Tokenizer::load(scratch / "fourth.gguf"), first, texts);
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerFiles,
                         testing::Values(Family{"gpt2", "<|endoftext|>", "<|endoftext|>"}, Family{"smollm2", "<|im_start|>", "<|im_end|>"},
                                         Family{"llama3", "<|begin_of_text|>", "<|eot_id|>"},
                                         Family{"qwen2", "<|endoftext|>", "<|im_end|>"}, Family{"llama2", "<s>", "</s>"},
                                         Family{"mistral", "<s>", "</s>", starts_with_mark},
                                         Family{"gemma", "<bos>", "<eos>", has_three_blanks}),
                         [](const auto& info) { return std::string(info.param.name); });

// A sentence of what is wrong, in one line.
static std::string refusal_of(const std::filesystem::path& source) {
  try {
    tensor::GgufWriter writer;
    write_gguf_tokenizer(source, Json::object(), writer);
  } catch (const InputError& error) {
    return error.what();
  }
  return "written";
}

TEST(TokenizerFiles, WhatGgufCannotSayIsRefused) {
  ScratchFolder scratch;
  make_folder(scratch / "unigram", golden_tokenizer("t5")["tokenizer"], Json::object());
  EXPECT_EQ(
      refusal_of(scratch / "unigram"),
      (scratch / "unigram").string() + ": GGUF language models hold BPE vocabularies, this one is of another kind; write a folder instead");
  make_folder(scratch / "o200k", golden_tokenizer("o200k")["tokenizer"], Json::object());
  const std::string line = refusal_of(scratch / "o200k");
  EXPECT_EQ(line.find("GGUF has no name for the way this tokenizer splits text ("), 0U) << line;
  std::filesystem::create_directories(scratch / "none");
  EXPECT_EQ(refusal_of(scratch / "none"), "written") << "a folder without a tokenizer gives a GGUF without one";
}

// A SentencePiece vocabulary that has no piece for any text: the letter that the writer looks at encodes to nothing.
TEST(TokenizerFiles, AVocabularyThatEncodesNothingIsWritten) {
  ScratchFolder scratch;
  const Json model{{"type", "BPE"}, {"byte_fallback", true}, {"vocab", {{"x", 0}}}, {"merges", Json::array()}};
  make_folder(scratch / "folder", {{"version", "1.0"}, {"model", model}}, Json::object());
  ASSERT_TRUE(Tokenizer::load(scratch / "folder").encode_ids("a").empty());
  write_gguf(scratch / "folder", scratch / "model.gguf");
  EXPECT_FALSE(tensor::GgufFile::open(scratch / "model.gguf").boolean("tokenizer.ggml.add_space_prefix"));
}

}  // namespace tessera::lm
