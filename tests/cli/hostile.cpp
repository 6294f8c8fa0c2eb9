// Broken and hostile model files through the program: one line, exit code 2, nothing written, no crash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/cli/program_run.h"

namespace tessera::cli_tests {
namespace {

namespace fs = std::filesystem;
using std::string_literals::operator""s;

std::string eight_bytes(uint64_t value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); }
std::string four_bytes(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); }

std::string safetensors(const std::string& header, const std::string& data) { return eight_bytes(header.size()) + header + data; }

void expect_one_line_and_exit_two(const std::vector<std::string>& words) {
  const auto ran = run_tessera(words);
  SCOPED_TRACE(ran.err);
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1);
  EXPECT_THAT(ran.err, testing::StartsWith("tessera: "));
  EXPECT_THAT(ran.err, testing::HasSubstr("; "));
}

TEST(Hostile, ModelFiles) {
  const TemporaryFolder folder;
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::vector<std::string> files = {
      folder.write("empty.safetensors", ""),
      folder.write("short.safetensors", "abc"),
      folder.write("huge_header.safetensors", eight_bytes(~uint64_t{0}) + "{}"),
      folder.write("truncated.safetensors", safetensors(good, "1234")),
      folder.write(
          "overlap.safetensors",
          safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                      std::string(12, 'x'))),
      folder.write("overflow.safetensors",
                   safetensors(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", std::string(8, 'x'))),
      folder.write("deep.safetensors", safetensors(std::string(100'000, '['), "")),
      folder.write("empty.gguf", ""),
      folder.write("magic.gguf", "GGUF"),
      folder.write("counts.gguf", "GGUF" + four_bytes(3) + eight_bytes(~uint64_t{0}) + eight_bytes(~uint64_t{0})),
      folder.write("string.gguf", "GGUF" + four_bytes(3) + eight_bytes(0) + eight_bytes(1) + eight_bytes(~uint64_t{0} - 8) + "x"),
      folder.write("empty.pt", ""),
      folder.write("exec.pt", "\x80\x02"s + "cposix\nsystem\nq\x01X\x04\0\0\0trueq\x02\x85q\x03Rq\x04."s),
      folder.write("folder/config.json", "{\"model_type\":\"llama\""),
      folder.write("random.bin", std::string(4096, '\xa5')),
      folder.path("folder"),
  };
  for (const auto& file : files) {
    SCOPED_TRACE(file);
    expect_one_line_and_exit_two({"inspect", file});
    expect_one_line_and_exit_two({"generate", file, "-p", "hello"});
    expect_one_line_and_exit_two({"tokenize", file, folder.write("t.txt", "hello")});
    expect_one_line_and_exit_two({"convert", file, folder.path("out.gguf")});
    EXPECT_FALSE(fs::exists(folder.path("out.gguf")));
  }
}

TEST(Hostile, EscapeSequencesDoNotReachTheTerminal) {
  const TemporaryFolder folder;
  const auto file =
      folder.write("e.safetensors", safetensors("{\"\x1b[31mevil\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}", "12345678"));
  const auto ran = run_tessera({"inspect", file});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_EQ(ran.err.find('\x1b'), std::string::npos);
}

TEST(Hostile, TextFilesOfAnyBytesAreTokenized) {
  const auto model = small_model();
  if (model.empty()) GTEST_SKIP() << "no tests/parity/golden/eval_tiny_llama";
  std::string bytes;
  for (int i = 0; i < 2048; ++i) bytes += static_cast<char>((i * 131 + 7) % 256);
  const auto ran = run_tessera({"tokenize", model.string(), "--json"}, {.input = bytes});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_FALSE(ran.json().is_discarded());
}

TEST(Hostile, NoSocketIsOpened) {
  const std::string tool = "command -v strace >/dev/null 2>&1";
  if (std::system(tool.c_str()) != 0) GTEST_SKIP() << "no strace";
  const TemporaryFolder folder;
  const std::string log = folder.path("trace");
  for (const char* words : {"doctor --json", "list", "inspect nobody/nothing"}) {
    const std::string command = "strace -f -e trace=socket,connect -o '" + log + "' '" TESSERA_PROGRAM "' " + words + " >/dev/null 2>&1";
    [[maybe_unused]] const int code = std::system(command.c_str());
    std::ifstream in(log);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(text.find("AF_INET"), std::string::npos) << words << "\n" << text;
  }
}

}  // namespace
}  // namespace tessera::cli_tests
