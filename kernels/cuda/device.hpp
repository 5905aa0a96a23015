// What the host side of a kernel uses: the stream, checked launches, memory for one call.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/base/scalar.hpp"
#include "kernels/cuda/port.hpp"
#include "kernels/cuda/runtime.hpp"

namespace posetape::cuda {

// The one that all work goes to.
cudaStream_t stream();

// Throws Error where a call has failed; `doing` completes "cuda: ... failed".
void check(cudaError_t error, const char* doing);

// The argument struct whose kernels are being launched, for messages.
class Entry {
 public:
  explicit Entry(const char* name);
  ~Entry();
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  const char* outer_;
};

void check_launch(cudaError_t error, const char* kernel, dim3 grid, dim3 block,
                  std::size_t shared_bytes);

// Counts work that a library launched; `call` is named where an error shows later.
void check_library_call(const char* call);

// Threads of a block where nothing speaks for another number.
inline constexpr int kThreads = 256;

// Blocks of `each` items that cover n; at most 2^31 - 1 of them.
inline unsigned blocks_for(Index n, Index each) {
  return static_cast<unsigned>((n + each - 1) / each);
}

// Work that goes on beside the stream, on a stream of its own. What comes before the Fork is done
// before it, and what comes after join() waits for it. Scratch memory of either must live until
// then.
class Fork {
 public:
  Fork();
  // Joins what an error has left apart.
  ~Fork();
  Fork(const Fork&) = delete;
  Fork& operator=(const Fork&) = delete;
  // Launches of f go aside; the first call begins there.
  template <class F>
  void aside(const F& f) {
    begin();
    f();
    end();
  }
  void join();

 private:
  void begin();
  void end();

  cudaStream_t main_;
  bool used_ = false;
};

// `count` counters of the device, zero, which a kernel must leave at zero. None of them is given
// again before many other launches.
inline constexpr Index kMostCounters = 1024;
unsigned* take_counters(Index count);

// Uninitialised device memory that lives until the end of the scope; kernels launched before then
// may use it.
std::shared_ptr<void> scratch(std::size_t bytes);
template <class T>
class Scratch {
 public:
  explicit Scratch(Index count) : memory_(scratch(sizeof(T) * static_cast<std::size_t>(count))) {}
  T* data() const { return static_cast<T*>(memory_.get()); }

 private:
  std::shared_ptr<void> memory_;
};

}  // namespace posetape::cuda

// Launches into the stream; nothing where the grid is empty. A kernel with a comma in its name
// stands in brackets.
#define POSETAPE_RUN(kernel, grid, block, shared_bytes, ...)                         \
  do {                                                                               \
    const dim3 posetape_grid(grid), posetape_block(block);                           \
    if (posetape_grid.x == 0 || posetape_grid.y == 0 || posetape_grid.z == 0) break; \
    ::posetape::cuda::check_launch(                                                  \
        POSETAPE_LAUNCH(kernel, posetape_grid, posetape_block, shared_bytes,         \
                        ::posetape::cuda::stream() __VA_OPT__(, ) __VA_ARGS__),      \
        #kernel, posetape_grid, posetape_block, shared_bytes);                       \
  } while (false)
