// Fibres: the stacks on which the threads of a block run, and the sanitizers' view of them.
#pragma once

#include <cstddef>

#include "kernels/emulation/context.hpp"

namespace posetape::emulation {

inline constexpr int kMaxFibres = 1024;  // the largest block that CUDA allows

// Threads that ThreadSanitizer can tell apart. Its runtime since LLVM 14 and GCC 13 has 256 slots
// and goes silently blind beyond; GCC 12's is seen to find races among 4096.
#if defined(__clang__) || __GNUC__ > 12
inline constexpr int kTsanFibres = 250;
#else
inline constexpr int kTsanFibres = 4 * kMaxFibres;
#endif

struct Fibre {
  Context context;
  char* stack = nullptr;
  std::size_t stack_bytes = 0;
  void* tsan = nullptr;        // ThreadSanitizer's thread
  void* fake_stack = nullptr;  // AddressSanitizer's
};

// The fibre of the host's thread, which the scheduler returns to.
Fibre& host_fibre();

// `count` fibres for one block, each about to begin in entry(). Under ThreadSanitizer successive
// calls go round several sets: two blocks on the same fibre would look ordered and hide races.
Fibre* take_fibres(int count, void (*entry)());

// To be called first on a new fibre.
void begin_fibre();

// Suspends `from`, the running fibre, and resumes `to`. A fibre that ends is never resumed.
void switch_fibre(Fibre& from, Fibre& to);
void end_fibre(Fibre& from, Fibre& to);

// After a block that was given up midway: the fibres last taken lose what the sanitizers knew. What
// they did happened before acquire(end).
void abandon_fibres(void* end);

// Is this address in the guard page below a fibre's stack? (For the signal handler.)
bool is_stack_overflow(const void* address);

}  // namespace posetape::emulation
