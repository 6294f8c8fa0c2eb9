// Danube's commands as a person runs them.

#include "tessera/methods/danube/commands.h"

#include <gmock/gmock.h>

#include "tessera/base/error.h"
#include "tests/methods/danube_model.h"

namespace tessera::danube {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::map<std::string, std::vector<std::string>>;
namespace fs = std::filesystem;

class DanubeCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    save_small(folder_ / "model");
    write_file(folder_ / "text.txt", small_text(1000));
    write_file(folder_ / "other.txt", small_text(1000));
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Json run(const run::Command& command, const Words& options, const std::string& out = "") {
    run::GivenOptions given;
    for (const auto& [name, values] : options) given[name] = {.values = values, .source = run::Source::option, .where = "--" + name + " "};
    run::Settings settings;
    settings.dtype = run::Dtype::fp32;
    settings.out = out.empty() ? folder_ / ("run-" + command.name) : fs::path(out);
    run::Context context(settings, {}, "danube " + command.name, "recipe");
    command.prepare(given)(context);
    return context.document();
  }
  std::string message(const run::Command& command, const Words& options) {
    try {
      run(command, options);
    } catch (const InputError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }
  void write_config(const std::string& name, const std::string& rest) {
    write_file(folder_ / name, R"({"model": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
      "num_key_value_heads": 1, "sliding_window": 24}, "vocab": 300, "batch": 128, "held_out": 0.5, "seed": 1,
      "schedule": {"peak": 0.01, "lowest": 0.001, "warmup": 128},
      "stages": [{"tokens": 1280, "seq_len": 16, "mix": {"text": 3, "other": 1}}, {"tokens": 640, "seq_len": 32}])" +
                                   rest + "}");
  }
  TestFolder folder_;
};

TEST_F(DanubeCommands, TrainGoesThroughItsStages) {
  write_config("c.json", "");
  const auto document = run(train_command(), {{"data", {path("text.txt"), path("other.txt")}}, {"config", {path("c.json")}}});
  EXPECT_EQ(document["steps"], 15);
  EXPECT_EQ(document["tokens"], 1920);
  EXPECT_LT(document["smoothed"], 5.6);
  EXPECT_TRUE(document["eval_loss"].is_number());
  const std::string csv = read_file(folder_ / "run-train/train.csv");
  EXPECT_THAT(csv, testing::StartsWith("step,tokens,stage,loss,"));
  EXPECT_THAT(csv, testing::HasSubstr("\n10,1280,1,"));
  EXPECT_THAT(csv, testing::HasSubstr("\n11,1408,2,"));
  for (const char* name : {"report.html", "model/config.json", "model/tokenizer.json", "latest/trainer_state.json"})
    EXPECT_TRUE(fs::exists(folder_ / "run-train" / name)) << name;
  EXPECT_THAT(read_file(folder_ / "run-train/report.html"), testing::HasSubstr("2: rows of 32 tokens"));
  const auto info = run(info_command(), {{"model", {path("run-train/model")}}});
  EXPECT_EQ(info["differences"], Json::array());
  EXPECT_EQ(info["window"], 24);
  EXPECT_EQ(info["parameters"], document["parameters"]);
}

TEST_F(DanubeCommands, TrainResumesBitForBitInFp8Too) {
  for (const char* precision : {R"(, "precision": "fp32")", R"(, "precision": "fp8-emulate", "fp8_history": 4)"}) {
    write_config("c.json", precision);
    const Words options{{"data", {path("text.txt"), path("other.txt")}}, {"config", {path("c.json")}}};
    const auto losses = [&] {
      std::string lines, text = read_file(folder_ / "run-train/train.csv");
      for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {  // all but the speed
        const std::string line = text.substr(at, text.find('\n', at) - at);
        lines += line.substr(0, line.rfind(',')) + "\n";
      }
      return lines;
    };
    run(train_command(), options);
    const auto whole = losses();
    fs::remove_all(folder_ / "run-train/checkpoint-15");  // as if it had been killed: the save before remains
    fs::remove(folder_ / "run-train/latest");
    auto again = options;
    again["resume"] = {"true"};
    const auto document = run(train_command(), again);
    EXPECT_EQ(document["steps"], 15);
    EXPECT_EQ(losses(), whole) << precision;
    EXPECT_EQ(document["fp8"].is_null(), std::string(precision).find("fp8") == std::string::npos);
    fs::remove_all(folder_ / "run-train");
  }
}

TEST_F(DanubeCommands, TrainSaysWhatIsWrongBeforeItWrites) {
  write_config("c.json", "");
  EXPECT_THAT(message(train_command(), {{"data", {path("text.txt")}}, {"config", {path("c.json")}}}),
              testing::HasSubstr("the mix names other, which --data has not; its sources are text"));
  write_file(folder_ / "bad.json", "{\"model\": ");
  EXPECT_THAT(message(train_command(), {{"data", {path("text.txt")}}, {"config", {path("bad.json")}}}), testing::HasSubstr("is not JSON"));
  EXPECT_FALSE(fs::exists(folder_ / "run-train"));
}

std::string chats() {
  std::string lines;
  for (int i = 0; i < 20; ++i)
    lines += R"({"prompt": "the sea", "response": "the ship left the harbour"})"
             "\n";
  return lines;
}

TEST_F(DanubeCommands, SftLearnsAnswersAndWritesAChatModel) {
  write_file(folder_ / "chat.jsonl", chats());
  const Words options{{"model", {path("model")}}, {"data", {path("chat.jsonl")}}, {"epochs", {"4"}}, {"lr", {"0.01"}}};
  const auto document = run(sft_command(), options);
  EXPECT_EQ(document["conversations"], 20);
  EXPECT_EQ(document["steps"], 10);
  EXPECT_LT(document["smoothed"], 4.5);
  EXPECT_TRUE(fs::exists(folder_ / "run-sft/model/chat_template.jinja"));
  const auto answer =
      run(generate_command(), {{"model", {path("run-sft/model")}}, {"prompt", {"the sea"}}, {"as-chat", {"true"}}, {"max-new", {"8"}}});
  EXPECT_THAT(answer["text"].get<std::string>(), testing::HasSubstr("the"));
  auto adapted = options;
  adapted["lora-r"] = {"2"};
  adapted["merge"] = {"true"};
  const auto merged = run(sft_command(), adapted, path("run-lora"));
  EXPECT_LT(merged["smoothed"], 5.5);
  EXPECT_TRUE(fs::exists(folder_ / "run-lora/adapter/adapter_config.json"));
  EXPECT_NE(read_file(folder_ / "run-lora/model/model.safetensors"), read_file(folder_ / "model/model.safetensors"));
  write_file(folder_ / "empty.jsonl", "");
  EXPECT_THAT(message(sft_command(), {{"model", {path("model")}}, {"data", {path("empty.jsonl")}}}), testing::HasSubstr("empty.jsonl"));
  write_file(folder_ / "role.jsonl", R"({"messages": [{"role": "wizard", "content": "x"}, {"role": "assistant", "content": "y"}]})"
                                     "\n");
  EXPECT_THAT(message(sft_command(), {{"model", {path("model")}}, {"data", {path("role.jsonl")}}}),
              testing::HasSubstr("role wizard is not known"));
  EXPECT_EQ(message(sft_command(), {{"model", {path("model")}}, {"data", {path("chat.jsonl")}}, {"merge", {"true"}}}),
            "--merge says nothing without adapters; give --lora-r too, or leave it out");
}

TEST_F(DanubeCommands, DpoWritesAdaptersAndTheMergedModelAndResumes) {
  std::string lines;
  for (int i = 0; i < 12; ++i)
    lines += R"({"prompt": "the sea", "chosen": "the ship", "rejected": "night night"})"
             "\n";
  write_file(folder_ / "pairs.jsonl", lines + R"({"prompt": "q", "chosen": "a", "rejected": "a"})"
                                              "\n");
  Words options{{"model", {path("model")}}, {"data", {path("pairs.jsonl")}}, {"lr", {"0.02"}}, {"merge", {"true"}}};
  const auto document = run(dpo_command(), options);
  EXPECT_EQ(document["pairs"], 12);
  EXPECT_EQ(document["equal"], 1);
  EXPECT_EQ(document["steps"], 6);
  EXPECT_LT(document["smoothed"], 0.65);
  EXPECT_GT(document["margin"], 0.1);
  EXPECT_TRUE(fs::exists(folder_ / "run-dpo/adapter/adapter_model.safetensors"));
  const auto weights = read_file(folder_ / "run-dpo/model/model.safetensors");
  fs::remove_all(folder_ / "run-dpo/checkpoint-6");
  fs::remove(folder_ / "run-dpo/latest");
  options["resume"] = {"true"};
  run(dpo_command(), options);
  EXPECT_EQ(read_file(folder_ / "run-dpo/model/model.safetensors"), weights) << "a resumed run ends at the same weights";
  EXPECT_THAT(read_file(folder_ / "run-dpo/train.csv"), testing::HasSubstr("accuracy,margin"));
}

TEST_F(DanubeCommands, GenerateTakesAnotherWindow) {
  const Words options{{"model", {path("model")}}, {"prompt", {small_text(8)}}, {"max-new", {"12"}}};
  const auto own = run(generate_command(), options);
  EXPECT_EQ(own["window"], 16);
  auto other = options;
  other["window"] = {"off"};
  const auto off = run(generate_command(), other);
  EXPECT_TRUE(off["window"].is_null());
  EXPECT_NE(off["text"], own["text"]);
  other["window"] = {"16"};
  EXPECT_EQ(run(generate_command(), other)["text"], own["text"]);
  other["window-inclusive"] = {"true"};
  EXPECT_EQ(run(generate_command(), other)["window"], 17);
  other["window"] = {"some"};
  EXPECT_EQ(message(generate_command(), other), "--window some: give a number of tokens, or off");
  other = options;
  other["prompt"] = {small_text(200)};
  EXPECT_THAT(message(generate_command(), other), testing::HasSubstr("more than the context of 256; give --truncate"));
  other["truncate"] = {"true"};
  EXPECT_EQ(run(generate_command(), other)["prompt_tokens"], 244);
  other = options;
  other["samples"] = {"3"};
  other["temperature"] = {"1"};
  EXPECT_EQ(run(generate_command(), other)["samples"].size(), 3U);
}

TEST_F(DanubeCommands, EvalMeasuresPerplexityAndChoices) {
  const auto own = run(eval_command(), {{"model", {path("model")}}, {"ppl", {path("text.txt")}}, {"seq", {"64"}}});
  const auto off = run(eval_command(), {{"model", {path("model")}}, {"ppl", {path("text.txt")}}, {"seq", {"64"}}, {"window", {"off"}}});
  EXPECT_GT(own["perplexity"], 1.0);
  EXPECT_NE(own["perplexity"], off["perplexity"]);
  std::string lines;
  for (int i = 0; i < 6; ++i)
    lines += R"({"question": "The ship left the", "choices": ["harbour", "xyz"], "answer": 0})"
             "\n";
  write_file(folder_ / "mc.jsonl", lines);
  const auto shots = run(eval_command(), {{"model", {path("model")}}, {"mc", {path("mc.jsonl")}}, {"shots", {"2"}}});
  EXPECT_EQ(shots["items"], 4) << "two of six are shown solved";
  EXPECT_EQ(shots["shots"], 2);
  EXPECT_EQ(message(eval_command(), {{"model", {path("model")}}}), "give either --ppl FILE or --mc QUESTIONS");
  EXPECT_THAT(message(eval_command(), {{"model", {path("model")}}, {"mc", {path("mc.jsonl")}}, {"shots", {"6"}}}),
              testing::HasSubstr("6 questions and 6 of them are shots"));
}

TEST_F(DanubeCommands, RetokenizeWithTheSameVocabularyChangesNoWeight) {
  const auto same = run(retokenize_command(), {{"model", {path("model")}}, {"tokenizer", {path("model")}}, {"out", {path("same")}}});
  EXPECT_EQ(same["mapped_fraction"], 1.0);
  EXPECT_EQ(read_file(folder_ / "same/model.safetensors"), read_file(folder_ / "model/model.safetensors"));
  save_small(folder_ / "larger", 330);
  const auto larger =
      run(retokenize_command(), {{"model", {path("model")}}, {"tokenizer", {path("larger/tokenizer.json")}}, {"out", {path("new")}}});
  EXPECT_GT(larger["pieces"], same["pieces"]);
  EXPECT_EQ(larger["mapped"], same["pieces"]) << "the larger one holds all of the smaller one's pieces";
  const auto document = run(generate_command(), {{"model", {path("new")}}, {"prompt", {"The ship"}}, {"max-new", {"4"}}});
  EXPECT_GT(document["prompt_tokens"], 0);
  write_file(folder_ / "vocab.bin", "x");
  EXPECT_THAT(message(retokenize_command(), {{"model", {path("model")}}, {"tokenizer", {path("vocab.bin")}}, {"out", {path("no")}}}),
              testing::HasSubstr("give a model's folder"));
}

TEST_F(DanubeCommands, QualityLearnsAndFilters) {
  std::string lines;
  for (int i = 0; i < 60; ++i) {
    lines += Json{{"text", small_text(6 + i % 5)}, {"label", 1}}.dump() + "\n";
    lines += Json{{"text", fmt::format("{} >> {} || buy!! {} {}\n", i, i * 7, i, i * i)}, {"label", 0}}.dump() + "\n";
  }
  write_file(folder_ / "labelled.jsonl", lines);
  const auto trained = run(quality_command(), {{"train", {path("labelled.jsonl")}}, {"rounds", {"20"}}, {"out", {path("filter")}}});
  EXPECT_GT(trained["auc"], 0.95);
  write_file(folder_ / "crawl.jsonl", Json{{"text", small_text(9)}}.dump() + "\n" + Json{{"text", "7 >> 8 || buy!! 9"}}.dump() + "\n");
  const auto scored =
      run(quality_command(), {{"score", {path("crawl.jsonl")}}, {"filter", {path("filter")}}, {"out", {path("kept.jsonl")}}});
  EXPECT_EQ(scored["texts"], 2);
  EXPECT_EQ(scored["passed"], 1);
  EXPECT_EQ(Json::parse(read_file(folder_ / "kept.jsonl"))["text"], small_text(9));
  EXPECT_THAT(message(quality_command(), {{"score", {path("crawl.jsonl")}}}), testing::HasSubstr("needs a filter"));
  EXPECT_THAT(message(quality_command(), {{"train", {path("crawl.jsonl")}}, {"out", {path("f2")}}}), testing::HasSubstr("no field label"));
  EXPECT_FALSE(fs::exists(folder_ / "f2"));
}

TEST_F(DanubeCommands, Fp8ReportsEveryLayer) {
  const auto document =
      run(fp8_command(), {{"model", {path("model")}}, {"data", {path("text.txt")}}, {"passes", {"3"}}, {"seq", {"32"}}, {"batch", {"2"}}});
  ASSERT_EQ(document["layers"].size(), 14U);
  EXPECT_NEAR(document["fp8_loss"].get<double>(), document["loss"].get<double>(), 0.05 * document["loss"].get<double>());
  EXPECT_NE(document["fp8_loss"], document["loss"]);
  EXPECT_THAT(message(fp8_command(), {{"model", {path("model")}}, {"data", {path("other.txt")}}, {"passes", {"1000"}}}),
              testing::HasSubstr("give more text"));
}

TEST_F(DanubeCommands, ConvertAndInfo) {
  run(convert_command(), {{"model", {path("model")}}, {"out", {path("small.gguf")}}});
  run(convert_command(), {{"model", {path("small.gguf")}}, {"to", {"safetensors"}}, {"out", {path("back")}}});
  const auto before = run(info_command(), {{"model", {path("model")}}}), after = run(info_command(), {{"model", {path("back")}}});
  EXPECT_EQ(before["parameters"], after["parameters"]);
  EXPECT_EQ(after["differences"], Json::array());
  EXPECT_THAT(message(convert_command(), {{"model", {path("model")}}, {"out", {path("folder")}}}),
              testing::HasSubstr("end its name in .gguf"));
  const auto document = run(info_command(), {{"model", {"danube-1.8b-base"}}});
  EXPECT_EQ(document["parameters"], 1'831'201'280);
  EXPECT_EQ(document["cache_bytes_per_token"], 61440);
  EXPECT_EQ(document["layout"].size(), 24U * 9U + 3U);
  EXPECT_THAT(message(info_command(), {{"model", {path("nowhere")}}}), testing::HasSubstr("nowhere"));
}

}  // namespace
}  // namespace tessera::danube
