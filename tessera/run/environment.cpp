#include "tessera/run/environment.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>

namespace tessera::run {

namespace fs = std::filesystem;

namespace {

// A system file, at most 1 MiB of it; empty when it cannot be read.
std::string system_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 4096> block{};
  while (text.size() < (1u << 20) && (file.read(block.data(), block.size()) || file.gcount() > 0))
    text.append(block.data(), static_cast<size_t>(file.gcount()));
  return text;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// The value of the first "key : value" line.
std::string_view line_value(std::string_view text, std::string_view key, char separator) {
  for (const std::string_view line : split_at(text, '\n')) {
    const size_t at = line.find(separator);
    if (at != std::string_view::npos && trimmed(line.substr(0, at)) == key) return trimmed(line.substr(at + 1));
  }
  return {};
}

std::optional<int64_t> whole_number(std::string_view text) {
  text = trimmed(text);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class T>
void lower_to(std::optional<T>& limit, T value) {
  limit = limit ? std::min(*limit, value) : value;
}

void limit_processors(GroupLimits& limits, std::optional<int64_t> quota, std::optional<int64_t> period) {
  if (quota && period && *quota > 0 && *period > 0) lower_to(limits.processors, static_cast<double>(*quota) / static_cast<double>(*period));
}

void limit_memory(GroupLimits& limits, std::optional<int64_t> bytes) {
  if (bytes && *bytes > 0 && *bytes < (int64_t{1} << 60)) lower_to(limits.memory_bytes, static_cast<uint64_t>(*bytes));
}

void read_version_2(GroupLimits& limits, const fs::path& folder) {
  const std::string cpu_file = system_file(folder / "cpu.max");  // "200000 100000" or "max 100000"
  const auto cpu = split_at(trimmed(cpu_file), ' ');
  if (cpu.size() == 2) limit_processors(limits, whole_number(cpu[0]), whole_number(cpu[1]));
  limit_memory(limits, whole_number(system_file(folder / "memory.max")));
}

void read_version_1(GroupLimits& limits, const fs::path& folder) {
  limit_processors(limits, whole_number(system_file(folder / "cpu.cfs_quota_us")), whole_number(system_file(folder / "cpu.cfs_period_us")));
  limit_memory(limits, whole_number(system_file(folder / "memory.limit_in_bytes")));
}

// Calls `read` for the group's folder and its parents up to the mount. In a container the named group may not be mounted: the mount itself
// then is the group.
template <class Read>
void walk_up(const fs::path& mount, std::string_view group, const Read& read) {
  fs::path relative = fs::path(trimmed(group)).relative_path().lexically_normal();
  if (!relative.empty() && *relative.begin() == "..") relative.clear();
  for (; !relative.empty() && relative != "."; relative = relative.parent_path()) read(mount / relative);
  read(mount);
}

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));  // more than 1024 processors: the set is too small
}

std::string system_name() {
  const std::string release = system_file("/etc/os-release");
  std::string_view name = line_value(release, "PRETTY_NAME", '=');
  if (name.size() >= 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
  utsname kernel{};
  const std::string linux_name = uname(&kernel) == 0 ? fmt::format("{} {}", kernel.sysname, kernel.release) : "Linux";
  return name.empty() ? linux_name : fmt::format("{}, {}", name, linux_name);
}

constexpr const char* compiler_name() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#elif defined(__GNUC__)
  return "GCC " __VERSION__;
#else
  return "unknown";
#endif
}

}  // namespace

std::string cpu_name(std::string_view cpuinfo) {
  for (const char* key : {"model name", "Model", "Hardware", "CPU implementer"}) {
    const std::string_view value = line_value(cpuinfo, key, ':');
    if (!value.empty()) return std::string(value);
  }
  return "unknown";
}

std::vector<std::string> instruction_sets(std::string_view cpuinfo) {
  std::string_view flags = line_value(cpuinfo, "flags", ':');
  if (flags.empty()) flags = line_value(cpuinfo, "Features", ':');
  const auto present = split_at(flags, ' ');
  std::vector<std::string> found;
  for (const char* wanted : {"avx",      "avx2",        "fma",         "f16c",        "avx_vnni", "avx512f",  "avx512bw",
                             "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
                             "amx_fp16", "asimd",       "asimddp",     "sve",         "sve2",     "bf16",     "i8mm"})
    if (std::find(present.begin(), present.end(), std::string_view(wanted)) != present.end()) found.emplace_back(wanted);
  return found;
}

GroupLimits group_limits(std::string_view memberships, const fs::path& root) {
  GroupLimits limits;
  const auto version_2 = [&](const fs::path& folder) { read_version_2(limits, folder); };
  const auto version_1 = [&](const fs::path& folder) { read_version_1(limits, folder); };
  for (const std::string_view line : split_at(memberships, '\n')) {  // "4:memory:/group" or, version 2, "0::/group"
    const size_t first = line.find(':'), second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) {
      walk_up(root, group, version_2);
      walk_up(root / "unified", group, version_2);
      continue;
    }
    for (const std::string_view controller : split_at(controllers, ','))
      if (controller == "cpu" || controller == "memory") walk_up(root / std::string(controller), group, version_1);
  }
  return limits;
}

Environment environment() {
  const std::string cpuinfo = system_file("/proc/cpuinfo");
  const GroupLimits limits = group_limits(system_file("/proc/self/cgroup"), "/sys/fs/cgroup");
  Environment result;
  result.cpu = cpu_name(cpuinfo);
  result.instruction_sets = instruction_sets(cpuinfo);
  result.processors = usable_processors();
  result.quota = limits.processors;
  result.threads = result.processors;
  if (result.quota) result.threads = std::clamp(static_cast<int>(std::ceil(*result.quota)), 1, result.processors);
  result.memory_bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  if (limits.memory_bytes) result.memory_bytes = std::min(result.memory_bytes, *limits.memory_bytes);
  result.system = system_name();
  result.compiler = compiler_name();
  result.version = TESSERA_VERSION;
  result.commit = TESSERA_COMMIT;
  return result;
}

std::vector<std::pair<std::string, std::string>> environment_rows(const Environment& environment) {
  std::string processors = fmt::format("{} usable", environment.processors);
  if (environment.quota) processors += fmt::format(", quota {:g}", *environment.quota);
  return {{"CPU", environment.cpu},
          {"Instruction sets", fmt::format("{}", fmt::join(environment.instruction_sets, " "))},
          {"Processors", processors},
          {"Memory", fmt::format("{:.1f} GiB", static_cast<double>(environment.memory_bytes) / (1u << 30))},
          {"System", environment.system},
          {"Compiler", environment.compiler},
          {"Tessera", fmt::format("{}, commit {}", environment.version, environment.commit)}};
}

}  // namespace tessera::run
