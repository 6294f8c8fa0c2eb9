#pragma once
// The machine as this process may use it: the CPU, its instruction sets, threads by affinity and container quota, memory; and this build.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::run {

struct Environment {
  std::string cpu;  // "AMD EPYC 9B45"; "unknown" when the system does not say
  std::vector<std::string>
      instruction_sets;         // those of avx2, fma, avx512f, avx512_vnni, avx512_bf16, amx_bf16, amx_int8 ... that are there
  int processors = 1;           // logical processors this process may run on (affinity)
  std::optional<double> quota;  // processors its control group allows, when that is limited
  int threads = 1;              // what to start: the smaller of both, at least 1
  uint64_t memory_bytes = 0;    // the smaller of the machine's memory and the control group's limit
  std::string system;           // "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
  std::string compiler;         // "GCC 12.2.0"
  std::string version, commit;  // of Tessera
};

// This machine and build.
Environment environment();
// Name and value for people, in the order a report shows them.
std::vector<std::pair<std::string, std::string>> environment_rows(const Environment& environment);

// The parts, over text, so that they can be tested. `cpuinfo` as /proc/cpuinfo on x86-64 and AArch64.
std::string cpu_name(std::string_view cpuinfo);
std::vector<std::string> instruction_sets(std::string_view cpuinfo);

struct GroupLimits {
  std::optional<double> processors;      // quota / period
  std::optional<uint64_t> memory_bytes;  // below 2^60: larger numbers mean "no limit"
};
// Limits of a control group, version 1 or 2 or both, and of its parents up to the root of the hierarchy. `memberships` is the text of
// /proc/self/cgroup, `root` where control groups are mounted ("/sys/fs/cgroup"). Files that are absent or malformed limit nothing.
GroupLimits group_limits(std::string_view memberships, const std::filesystem::path& root);

}  // namespace tessera::run
