// The JSON documents that scripts rely on: fields are only added to, never renamed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;

void expect_fields(const Json& document, const std::vector<std::string>& fields) {
  ASSERT_TRUE(document.is_object()) << document.dump();
  for (const auto& field : fields) EXPECT_TRUE(document.contains(field)) << field << " is missing in " << document.dump().substr(0, 400);
}

TEST(Documents, List) {
  const auto ran = run_tessera({"list", "--json"});
  ASSERT_EQ(ran.exit_code, 0);
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1);
  ASSERT_TRUE(ran.json().is_array());
  for (const auto& method : ran.json()) {
    expect_fields(method, {"slug", "title", "paper", "use", "commands", "columns"});
    expect_fields(method["columns"], {"useful", "faithful", "proven", "fast"});
    for (const auto& command : method["commands"]) expect_fields(command, {"name", "help"});
  }
}

TEST(Documents, Doctor) {
  const auto document = run_tessera({"doctor", "--json"}).json();
  expect_fields(document, {"cpu", "threads", "memory_bytes", "instruction_sets", "libtorch", "devices", "cache", "models"});
  EXPECT_GE(document["threads"], 1);
  EXPECT_GT(document["memory_bytes"], 100'000'000);
  for (const auto& model : document["models"]) expect_fields(model, {"name", "title", "installed", "path"});
}

TEST(Documents, EnvAndVersion) {
  expect_fields(run_tessera({"env", "--json"}).json(), {"cpu", "libtorch", "version", "commit"});
  expect_fields(run_tessera({"version", "--json"}).json(), {"version", "libtorch"});
}

TEST(Documents, OutKeepsACopy) {
  const TemporaryFolder folder;
  const auto ran = run_tessera({"version", "--json", "--out", folder.path("v.json")});
  EXPECT_EQ(ran.exit_code, 0);
  std::ifstream in(folder.path("v.json"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), ran.out);
  EXPECT_EQ(run_tessera({"version", "--out", folder.path("v.json")}).exit_code, 2);
  EXPECT_EQ(run_tessera({"version", "--force", "--out", folder.path("v.json")}).exit_code, 0);
}

TEST(Documents, ReproduceAndItsRunFolder) {
  const TemporaryFolder folder;
  const auto ran = run_tessera({"reproduce", "shortgpt", "--quick", "--json", "--out", folder.path("run")});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  expect_fields(ran.json(), {"method", "mode", "seconds", "holds", "report", "claims", "baselines"});
  for (const char* name : {"recipe.toml", "log.txt", "metrics.jsonl", "report.html", "artifacts"}) {
    EXPECT_TRUE(std::filesystem::exists(folder.path("run") + "/" + name)) << name;
  }
  std::ifstream metrics(folder.path("run/metrics.jsonl"));
  int64_t arms = 0;
  for (std::string line; std::getline(metrics, line);) {
    const auto document = Json::parse(line, nullptr, false);
    expect_fields(document, {"step", "time"});
    EXPECT_EQ(document["step"], ++arms) << "steps count the measured arms";
    EXPECT_GT(document.size(), 2U) << line;
  }
  EXPECT_GT(arms, 10);
}

class WithModel : public testing::Test {
 protected:
  void SetUp() override {
    model_ = small_model().string();
    if (model_.empty()) GTEST_SKIP() << "no tests/parity/golden/eval_tiny_llama";
  }
  std::string model_;
};

TEST_F(WithModel, Inspect) {
  const auto document = run_tessera({"inspect", model_, "--json"}).json();
  expect_fields(document, {"path", "architecture", "parameters", "bytes", "dtypes", "tokenizer", "config", "tensors"});
  EXPECT_GT(document["parameters"], 0);
  expect_fields(document["tensors"][0], {"name", "dtype", "shape", "bytes"});
}

TEST_F(WithModel, TokenizeAndBack) {
  const auto ran = run_tessera({"tokenize", model_, "--json", "--no-special"}, {.input = "the sea is blue"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto document = ran.json();
  expect_fields(document, {"ids", "pieces", "offsets"});
  EXPECT_EQ(document["ids"].size(), document["offsets"].size());
  EXPECT_EQ(document["offsets"].back()[1], 15);
  EXPECT_EQ(run_tessera({"tokenize", model_, "--decode"}, {.input = document["ids"].dump()}).out, "the sea is blue\n");
  const auto lines = run_tessera({"tokenize", model_, "--lines", "--json"}, {.input = "one\ntwo\r\nthree"});
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 3);
  EXPECT_EQ(run_tessera({"tokenize", model_, "--decode"}, {.input = "99999999"}).exit_code, 2);
  EXPECT_EQ(run_tessera({"tokenize", model_}, {.input = ""}).err, "tessera: standard input: the text is empty; give some text\n");
}

TEST_F(WithModel, Generate) {
  const auto ran = run_tessera({"generate", model_, "-p", "the sea", "-n", "5", "--json", "--dtype", "fp32"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto document = ran.json();
  expect_fields(document, {"text", "prompt_tokens", "tokens", "ids", "finish_reason", "timings"});
  expect_fields(document["timings"],
                {"load_s", "prompt_s", "prompt_tokens_per_second", "decode_s", "decode_tokens_per_second", "peak_rss_bytes"});
  EXPECT_EQ(document["tokens"], document["ids"].size());
  EXPECT_GT(document["timings"]["peak_rss_bytes"], 10'000'000);
  EXPECT_EQ(run_tessera({"generate", model_, "-p", "the sea", "-n", "5", "-q", "--dtype", "fp32"}).out,
            document["text"].get<std::string>() + "\n");
  const auto sampled = [&](const char* seed) {
    return run_tessera({"generate", model_, "-p", "the sea", "-n", "8", "--temp", "2", "-s", seed, "--json"}).json()["ids"];
  };
  EXPECT_EQ(sampled("1"), sampled("1"));
  EXPECT_NE(sampled("1"), sampled("2"));
}

TEST_F(WithModel, GenerateABatch) {
  const TemporaryFolder folder;
  const auto prompts = folder.write("p.txt", "the sea\n\nthe sky is so very blue\n");
  const auto document = run_tessera({"generate", model_, "--batch-file", prompts, "-n", "4", "--json", "--dtype", "fp32"}).json();
  expect_fields(document, {"results", "timings"});
  ASSERT_EQ(document["results"].size(), 2u);
  const auto alone = run_tessera({"generate", model_, "-p", "the sea", "-n", "4", "--json", "--dtype", "fp32"}).json();
  EXPECT_EQ(document["results"][0]["ids"], alone["ids"]);
}

TEST_F(WithModel, PerplexityAndItsBar) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 40; ++i) text += "the sea is blue and the sky is grey. ";
  const auto file = folder.write("t.txt", text);
  const std::vector<std::string> words = {"eval", "perplexity", model_, file, "--window", "16", "--windows", "3", "--json"};
  const auto ran = run_tessera(words);
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  expect_fields(ran.json(), {"perplexity", "nats_per_token", "tokens", "seconds", "tokens_per_second", "window", "windows"});
  EXPECT_EQ(ran.json()["tokens"], 45);
  auto barred = words;
  barred.insert(barred.end(), {"--max", "1.0"});
  EXPECT_EQ(run_tessera(barred).exit_code, 3);
}

TEST_F(WithModel, ARecipeRepeatsARun) {
  const TemporaryFolder folder;
  const auto recipe = folder.write("r.toml", "command = \"generate\"\nmodel = \"" + model_ +
                                                 "\"\nprompt = \"the sea\"\ntokens = 6\ntemp = 1.5\nseed = 3\ndtype = \"fp32\"\n");
  const auto direct =
      run_tessera({"generate", model_, "-p", "the sea", "-n", "6", "--temp", "1.5", "--seed", "3", "--dtype", "fp32", "--json"});
  EXPECT_EQ(run_tessera({"run", recipe, "--json"}).json()["ids"], direct.json()["ids"]);
  EXPECT_EQ(run_tessera({"run", recipe, "--json", "--tokens", "2"}).json()["tokens"], 2);
  EXPECT_EQ(run_tessera({"run", recipe, "--json", "--set", "tokens=3"}).json()["tokens"], 3);
  EXPECT_EQ(run_tessera({"run", recipe, "--json"}, {.variables = {{"TESSERA_TOKENS", "4"}}}).json()["tokens"], 4);
  EXPECT_EQ(run_tessera({"recipes", "validate", recipe}).exit_code, 0);
}

TEST_F(WithModel, ConvertThereAndBack) {
  const TemporaryFolder folder;
  const auto copy = folder.path("copy");
  ASSERT_EQ(run_tessera({"convert", model_, copy, "--type", "F32"}).exit_code, 0);
  EXPECT_EQ(run_tessera({"convert", model_, copy}).exit_code, 2);
  EXPECT_EQ(run_tessera({"convert", model_, copy, "--type", "F32", "--force"}).exit_code, 0);
  const auto ids = [](const std::string& model) {
    return run_tessera({"generate", model, "-p", "the sea", "-n", "6", "--dtype", "fp32", "--json"}).json()["ids"];
  };
  EXPECT_EQ(ids(copy), ids(model_));
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++entries;
  EXPECT_EQ(entries, 1u) << "temporary files are left";
}

TEST_F(WithModel, ChatThroughAPipe) {
  const TemporaryFolder folder;
  const auto chat_template = folder.write(
      "t.jinja", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}");
  const std::vector<std::string> words = {"chat",   model_, "--template", chat_template, "-n",  "4",
                                          "--temp", "0",    "--json",     "--dtype",     "fp32"};
  const auto saved = folder.path("c.json");
  const auto ran = run_tessera(words, {.input = "the sea\n/system be brief\n/save " + saved + "\nthe sky\n"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  std::istringstream lines(ran.out);
  std::vector<Json> turns;
  for (std::string line; std::getline(lines, line);) turns.push_back(Json::parse(line));
  ASSERT_EQ(turns.size(), 2u);
  expect_fields(turns[0], {"text", "prompt_tokens", "reused_tokens", "tokens", "finish_reason", "timings"});
  EXPECT_EQ(turns[0]["reused_tokens"], 0);
  std::ifstream in(saved);
  const auto document = Json::parse(in);
  EXPECT_EQ(document["messages"][0]["role"], "system");
  EXPECT_EQ(document["messages"].size(), 3u);
  const auto again = run_tessera(words, {.input = "/load " + saved + "\nthe sky\n"});
  EXPECT_EQ(Json::parse(again.out)["text"], turns[1]["text"]) << "a reused cache changes nothing";
  EXPECT_EQ(run_tessera(words, {.input = "/rest\n"}).err, "tessera: unknown command /rest; did you mean /reset?\n");
  auto narrow = words;
  narrow.insert(narrow.end(), {"--context", "8"});
  const auto full = run_tessera(narrow, {.input = "the sea is very very very blue today, is it not so\n"});
  EXPECT_EQ(full.exit_code, 2);
  EXPECT_THAT(full.err, HasSubstr("the context is full: the conversation has "));
}

TEST_F(WithModel, ChatReusesWhatItHasRead) {
  const TemporaryFolder folder;
  const auto chat_template = folder.write("t.jinja", "{% for m in messages %}{{ m.content }}\n{% endfor %}");
  const auto ran =
      run_tessera({"chat", model_, "--template", chat_template, "-n", "3", "--temp", "0", "--json"}, {.input = "the sea is blue\nyes\n"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto second = Json::parse(ran.out.substr(ran.out.find('\n') + 1));
  EXPECT_GE(second["reused_tokens"], 3);
}

}  // namespace
}  // namespace tessera::cli_tests
