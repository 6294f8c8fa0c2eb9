#include "tessera/base/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "tessera/base/error.h"

namespace tessera {

namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

void on_signal(int signal) {
  if (stop_requested.exchange(true)) ::_exit(128 + signal);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);  // no SA_RESTART: a blocked read returns, and the caller looks at interrupted()
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return stop_requested.load(std::memory_order_relaxed); }
void forget_interrupt() { stop_requested = false; }
void request_interrupt() { stop_requested = true; }

void throw_if_interrupted() {
  if (interrupted()) throw Interrupted("interrupted; no result was written");
}

}  // namespace tessera
