#pragma once
// What this process takes of the machine's memory.

#include <cstdint>

namespace tessera {

struct ProcessMemory {
  int64_t resident = 0, peak = 0;  // bytes now and at most so far; 0 where the system does not say
};
ProcessMemory process_memory();

}  // namespace tessera
