// The state of the block that runs (for the emulation's own files). All functions here may run on a
// fibre, between two switches, so they touch plain arrays and call no library templates, which the
// linker might take from an instrumented file.
#pragma once

#include <cstdint>

#include "kernels/emulation/fibres.hpp"
#include "kernels/emulation/primitives.hpp"
#include "kernels/emulation/sanitizer.hpp"
#include "kernels/emulation/schedule.hpp"

namespace posetape::emulation {

inline constexpr int kWarps = kMaxFibres / 32;

// What a thread is at.
enum class At : std::uint8_t { running, barrier, warp, exited };

struct Thread {
  At at;
  Primitive primitive;
  unsigned mask;
  int source;
  std::uint64_t payload;
  std::uint64_t result;
  Site site;
  Meeting* meeting;
  uint3 index;  // threadIdx
};

enum class Failure : std::uint8_t {
  none,
  barrier_sites,     // threads at different barriers
  barrier_exited,    // some threads returned, the rest wait at a barrier
  deadlock,          // nobody can go on; perhaps lanes name each other at different calls or masks
  caller_not_named,  // a lane is not in its own mask
  exited_named,      // a mask names a lane that returned
  absent_named,      // a mask names a lane that the block does not have
  source_not_named,  // a shuffle reads a lane outside its mask
  no_tensor_cores,   // for bf16
  misaligned,
  shared_limit,     // too much shared memory
  shared_count,     // too many arrays
  shared_mismatch,  // one declaration, two sizes
  shared_overrun,   // a red zone was written
};

struct Block {
  int size = 0;
  int live = 0;
  int arrived = 0;
  int current = -1;  // the running thread, -1 on the host
  Schedule::Order order = Schedule::Order::ascending;
  std::uint64_t random = 0;
  std::uint64_t ready[kMaxFibres / 64];  // by position, see position()
  unsigned waiting[kWarps];              // lanes at a warp primitive
  unsigned exited[kWarps];
  unsigned absent[kWarps];
  int position[kMaxFibres];   // thread -> place in the order
  int thread_at[kMaxFibres];  // and back
  Thread threads[kMaxFibres];
  Fibre* fibres = nullptr;
  Meeting* meeting = nullptr;  // of the barrier that is filling
  void (*body)(const void*) = nullptr;
  const void* arguments = nullptr;
  const char* kernel = "";  // its name

  Failure failure = Failure::none;  // and what it is about:
  int culprit = -1;
  int other = -1;
  std::uint64_t detail[2] = {};
  const char* text = nullptr;
  Site site;
};

extern Block block;

// Sets up for a block of `shape` threads; `order` and blockDim must be set.
void prepare_threads(const dim3& shape, Schedule::Order order);

// Runs blockIdx. False where it failed: `block.failure` says why, and the threads stand where they
// stood.
bool run_block(std::uint64_t seed);

// ThreadSanitizer: all threads of the launch happened before what the host does next.
void finish_launch();

void make_ready(int thread);

// Resumes another thread, and returns when this one is resumed.
void wait_for_turn();

// Gives the block up.
[[noreturn]] void fail(Failure failure, const Site& site, int other = -1);

// A lane has exited: does another one wait for it?
void check_exit(int thread);

}  // namespace posetape::emulation
