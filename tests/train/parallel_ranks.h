#pragma once
// Tests on several ranks: the test program starts itself again under mpirun, with the tests of one DISABLED_ suite, which call ranks().

#include <gtest/gtest.h>

#include <string>

#include "tessera/train/parallel/collective.h"

namespace tessera::train {

// The other ranks, joined at the first call and left at the end of the program.
Collective& ranks();

struct RanksRun {
  int exit_code = -1;
  double seconds = 0.0;
  std::string output;  // of all ranks and of mpirun
};
// Runs `filter` (of disabled tests) on n ranks with one thread each. `options` go to mpirun.
RanksRun run_ranks(int n, const std::string& filter, const std::string& options = "");
// What the ranks' tensors are on: the CPU, other_device.h's device, or a GPU each.
enum class RanksOn { cpu, other_device, gpus };
// Runs them and expects that every rank passes.
void expect_on_ranks(int n, const std::string& filter, RanksOn on = RanksOn::cpu);
// Why ranks cannot be started here; empty when they can.
std::string no_mpirun();
// Why n ranks cannot have a GPU each here; empty when they can.
std::string no_gpus(int n);

}  // namespace tessera::train

#define SKIP_WITHOUT_MPIRUN() \
  if (const std::string why = tessera::train::no_mpirun(); !why.empty()) GTEST_SKIP() << why
#define SKIP_WITHOUT_GPUS(n) \
  if (const std::string why = tessera::train::no_gpus(n); !why.empty()) GTEST_SKIP() << why
