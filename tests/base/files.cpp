#include "tessera/base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tessera/base/error.h"

namespace fs = std::filesystem;

namespace tessera {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tessera-files-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  size_t entries() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator())); }
  fs::path folder_;
};

TEST_F(Files, AreReadAndMappedAsWritten) {
  const std::string text("a\0b\n", 4);
  write_file(folder_ / "x", text);
  EXPECT_EQ(read_file(folder_ / "x"), text);
  const MappedFile map(folder_ / "x");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()), text);
  write_file(folder_ / "empty", "");
  EXPECT_EQ(MappedFile(folder_ / "empty").bytes().size(), 0u);
  const MappedFile own(folder_ / "x", MappedFile::Mode::copy_on_write);
  *const_cast<std::byte*>(own.bytes().data()) = std::byte{'z'};
  EXPECT_EQ(own.bytes()[0], std::byte{'z'});
  EXPECT_EQ(read_file(folder_ / "x"), text) << "the file itself must stay";
}

TEST_F(Files, SayWhatIsWrongInOneLine) {
  const auto message = [](auto&& work) -> std::string {
    try {
      work();
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { read_file(folder_ / "none"); }), (folder_ / "none").string() + " does not exist; check the path");
  EXPECT_EQ(message([&] { MappedFile map(folder_); }), folder_.string() + " is a folder, a file is expected");
  write_file(folder_ / "big", "12345");
  EXPECT_EQ(message([&] { read_file(folder_ / "big", 4); }), (folder_ / "big").string() + " has 5 bytes, at most 4 are expected");
}

TEST_F(Files, AnAtomicFileIsThereWholeOrNotAtAll) {
  write_file(folder_ / "x", "old");
  {
    AtomicFile file(folder_ / "x");
    file.write("new, but never committed");
    EXPECT_EQ(read_file(folder_ / "x"), "old");
  }
  EXPECT_EQ(read_file(folder_ / "x"), "old");
  EXPECT_EQ(entries(), 1u) << "the temporary file stayed behind";
  AtomicFile file(folder_ / "x");
  file.write("????");
  file.write(" tail");
  file.write_at(0, "head", 4);
  EXPECT_EQ(file.position(), 9u);
  file.commit();
  EXPECT_EQ(read_file(folder_ / "x"), "head tail");
}

TEST_F(Files, AFullDiskIsAWorkErrorAndLeavesTheOldFile) {
  write_file(folder_ / "x", "old");
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tiny{1000, before.rlim_max};  // stands in for a full disk: a write past the limit fails
  ::setrlimit(RLIMIT_FSIZE, &tiny);
  EXPECT_THROW(write_file(folder_ / "x", std::string(5000, 'n')), WorkError);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_file(folder_ / "x"), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Files, ThatCannotBeWrittenAreNamedAsGivenAndSayWhatHelps) {
  AtomicFolder out(folder_ / "model");
  EXPECT_THAT([&] { write_file(out.folder() / "missing" / "x", "1"); },
              testing::ThrowsMessage<WorkError>((folder_ / "model" / "missing" / "x").string() +
                                                " cannot be written: No such file or directory; make its folder first"));
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tiny{1000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tiny);
  EXPECT_THAT([&] { write_file(out.folder() / "weights", std::string(5000, 'n')); },
              testing::ThrowsMessage<WorkError>(testing::StartsWith((folder_ / "model" / "weights").string() + " cannot be written: ")));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
}

TEST_F(Files, AnAtomicFolderAppearsWithAllItsFiles) {
  {
    AtomicFolder out(folder_ / "model");
    write_file(out.folder() / "config.json", "{}");
    EXPECT_FALSE(fs::exists(folder_ / "model"));
  }
  EXPECT_EQ(entries(), 0u) << "an abandoned folder stayed behind";
  AtomicFolder out(folder_ / "model/");
  write_file(out.folder() / "config.json", "{}");
  out.commit();
  EXPECT_EQ(read_file(folder_ / "model" / "config.json"), "{}");
}

TEST_F(Files, AnAtomicFolderReplacesOnlyWhenAsked) {
  fs::create_directories(folder_ / "model");
  write_file(folder_ / "model" / "old", "1");
  EXPECT_THAT([&] { AtomicFolder out(folder_ / "model"); },
              testing::ThrowsMessage<InputError>((folder_ / "model").string() +
                                                 " exists and is not empty; give a new folder, or --force to replace it"));
  AtomicFolder out(folder_ / "model", true);
  write_file(out.folder() / "new", "2");
  EXPECT_TRUE(fs::exists(folder_ / "model" / "old")) << "the old folder must stay until the new one is whole";
  out.commit();
  EXPECT_FALSE(fs::exists(folder_ / "model" / "old"));
  EXPECT_EQ(read_file(folder_ / "model" / "new"), "2");
  EXPECT_EQ(entries(), 1u);
}

}  // namespace tessera
