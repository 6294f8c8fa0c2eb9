#include "tessera/run/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tessera/base/error.h"

namespace tessera::run {
namespace {

namespace fs = std::filesystem;

uint64_t number_at(const std::string& bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= uint64_t{static_cast<unsigned char>(bytes.at(at + i))} << (8 * i);
  return value;
}

// The events of a file, after checking both sums of every record.
std::vector<std::string> read_events(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> events;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = number_at(bytes, at, 8);
    EXPECT_EQ(number_at(bytes, at + 8, 4), masked_crc32c(std::string_view(bytes).substr(at, 8)));
    events.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(number_at(bytes, at + 12 + length, 4), masked_crc32c(events.back()));
    at += 16 + length;
  }
  return events;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

nlohmann::json golden() {
  std::ifstream file(TESSERA_SOURCE_DIR "/tests/parity/golden/tensorboard.json");
  return nlohmann::json::parse(file);
}

class TensorBoard : public testing::Test {
 protected:
  void SetUp() override {
    const char* keep = std::getenv("TESSERA_KEEP_EVENTS");  // tests/parity/tensorboard.py reads the file
    kept_ = keep != nullptr;
    folder_ = kept_ ? fs::path(keep) : fs::temp_directory_path() / ("tessera-events-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override {
    if (!kept_) fs::remove_all(folder_);
  }
  bool kept_ = false;
  fs::path folder_;
};

TEST_F(TensorBoard, ChecksumsAreCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  const nlohmann::json vectors = golden()["masked"];
  ASSERT_EQ(vectors.size(), 4u);
  for (const auto& vector : vectors) EXPECT_EQ(masked_crc32c(from_hex(vector["bytes"])), vector["crc"].get<uint32_t>());
}

TEST_F(TensorBoard, EventsAreThoseOfTheProtobufLibrary) {
  const auto cases = golden()["events"];
  EventFile file(folder_);
  for (const auto& one : cases) {
    const int64_t step = one["step"];
    const double time = one["time"];
    const std::string tag = one["tag"], kind = one["kind"];
    if (kind == "scalar") file.scalar(tag, step, time, one["value"]);
    if (kind == "text") file.text(tag, step, time, one["value"].get<std::string>());
    if (kind == "image") file.image(tag, step, time, from_hex(one["value"]));
  }
  const auto events = read_events(file.path());
  ASSERT_EQ(events.size(), cases.size() + 1);
  EXPECT_EQ(events[0].substr(9),
            "\x1a\x0d"
            "brain.Event:2");
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(events[i + 1], from_hex(cases[i]["bytes"])) << cases[i]["kind"];
}

TEST_F(TensorBoard, NeverWritesIntoAnOlderFile) {
  const EventFile first(folder_), second(folder_);
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(first.path().filename().string().rfind("events.out.tfevents.", 0), 0u);
  EXPECT_THROW(EventFile(folder_ / "absent"), WorkError);
}

TEST_F(TensorBoard, RefusesWhatIsNoPng) {
  EventFile file(folder_);
  EXPECT_THROW(file.image("i", 1, 0, "GIF89a"), InputError);
  EXPECT_THROW(file.image("i", 1, 0, std::string(1000, '\0')), InputError);
}

}  // namespace
}  // namespace tessera::run
