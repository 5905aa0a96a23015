#include "kernels/emulation/guard.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/emulation/block.hpp"
#include "kernels/emulation/device_memory.hpp"
#include "kernels/emulation/fibres.hpp"

namespace posetape::emulation {
namespace {

struct sigaction before;

void say(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

void on_fault(int signal, siginfo_t* info, void*) {
  char text[512], place[128] = "no device memory";
  const bool device = describe_device_address(info->si_addr, place, sizeof place);
  if (block.current >= 0) {
    const bool overflow = is_stack_overflow(info->si_addr);
    std::snprintf(text, sizeof text, "posetape emulation: thread %d of block (%u,%u,%u) of %s %s",
                  block.current, blockIdx.x, blockIdx.y, blockIdx.z, block.kernel,
                  overflow ? "overflowed its stack\n" : "faulted");
    say(text);
    std::snprintf(text, sizeof text, " at %p (%s)\n", info->si_addr, place);
    if (!overflow) say(text);
  } else if (device) {
    std::snprintf(text, sizeof text,
                  "posetape emulation: host access to device memory at %p (%s)\n", info->si_addr,
                  place);
    say(text);
  }
  // The access is tried again on return, and now fails as it would have without this handler.
  sigaction(signal, &before, nullptr);
}

// A handler cannot run on a stack that has overflowed.
void provide_signal_stack() {
  stack_t now{};
  if (sigaltstack(nullptr, &now) != 0 || !(now.ss_flags & SS_DISABLE)) return;
  constexpr std::size_t kBytes = 64 * 1024;
  static char* memory = static_cast<char*>(std::malloc(kBytes));
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = kBytes;
  sigaltstack(&stack, nullptr);
}

}  // namespace

void watch_for_faults() {
  struct sigaction now {};
  sigaction(SIGSEGV, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault) return;
  provide_signal_stack();
  before = now;
  struct sigaction ours {};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  sigaction(SIGSEGV, &ours, nullptr);
}

}  // namespace posetape::emulation
