#include "tessera/run/environment.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace tessera::run {
namespace {

namespace fs = std::filesystem;

class Groups : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("tessera-groups-" + std::to_string(getpid()));
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  void put(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  fs::path root_;
};

TEST_F(Groups, VersionTwoReadsItselfAndItsParents) {
  put("pod/cpu.max", "250000 100000\n");
  put("pod/job/cpu.max", "max 100000\n");
  put("pod/memory.max", "max\n");
  put("pod/job/memory.max", "4294967296\n");
  const GroupLimits limits = group_limits("0::/pod/job\n", root_);
  EXPECT_EQ(limits.processors, 2.5);
  EXPECT_EQ(limits.memory_bytes, 4294967296u);
}

TEST_F(Groups, VersionOneReadsEachController) {
  put("cpu/docker/abc/cpu.cfs_quota_us", "150000\n");
  put("cpu/docker/abc/cpu.cfs_period_us", "100000\n");
  put("memory/docker/abc/memory.limit_in_bytes", "1073741824\n");
  put("memory/memory.limit_in_bytes", "9223372036854771712\n");  // "no limit"
  const GroupLimits limits = group_limits("4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n", root_);
  EXPECT_EQ(limits.processors, 1.5);
  EXPECT_EQ(limits.memory_bytes, 1073741824u);
}

TEST_F(Groups, AContainerSeesItsOwnGroupAtTheMount) {
  put("cpu.max", "100000 100000\n");
  EXPECT_EQ(group_limits("0::/../outside\n", root_).processors, 1.0);
  EXPECT_EQ(group_limits("0::/not/mounted/here\n", root_).processors, 1.0);
}

TEST_F(Groups, AbsentOrOddFilesLimitNothing) {
  put("cpu.max", "fast please\n");
  put("memory.max", "-1\n");
  put("cpu/cpu.cfs_quota_us", "-1\n");
  put("cpu/cpu.cfs_period_us", "100000\n");
  for (const char* memberships : {"", "\n", "0::", "x", "0::/\n3:cpu:/\n", "0:::::\n"}) {
    const GroupLimits limits = group_limits(memberships, root_);
    EXPECT_FALSE(limits.processors) << memberships;
    EXPECT_FALSE(limits.memory_bytes) << memberships;
  }
}

TEST(Environment, ReadsTheCpuFromItsText) {
  const char* x86 =
      "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9B45\nflags\t\t: fpu avx avx2 avx512f avx512_bf16 avx2x\n\n"
      "processor\t: 1\nmodel name\t: other\n";
  EXPECT_EQ(cpu_name(x86), "AMD EPYC 9B45");
  EXPECT_EQ(instruction_sets(x86), (std::vector<std::string>{"avx", "avx2", "avx512f", "avx512_bf16"}));
  const char* arm = "processor\t: 0\nFeatures\t: fp asimd asimddp sve\nCPU implementer\t: 0x41\n";
  EXPECT_EQ(cpu_name(arm), "0x41");
  EXPECT_EQ(instruction_sets(arm), (std::vector<std::string>{"asimd", "asimddp", "sve"}));
  EXPECT_EQ(cpu_name(""), "unknown");
  EXPECT_TRUE(instruction_sets("").empty());
}

TEST(Environment, DescribesThisMachine) {
  const Environment here = environment();
  EXPECT_GE(here.processors, 1);
  EXPECT_GE(here.threads, 1);
  EXPECT_LE(here.threads, here.processors);
  EXPECT_GT(here.memory_bytes, uint64_t{64} << 20);
  EXPECT_FALSE(here.version.empty());
  EXPECT_FALSE(here.commit.empty());
  for (const auto& [name, value] : environment_rows(here))
    EXPECT_FALSE(name.empty() || (value.empty() && name != "Instruction sets")) << name;
}

}  // namespace
}  // namespace tessera::run
