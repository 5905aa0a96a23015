// Blocks that share an element: no barrier orders them.
#include <algorithm>

#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

constexpr int kLine = __LINE__;
__global__ void count_racy(int* sum) {
  if (threadIdx.x == 0) {
    *sum += 1;
  }
}

__global__ void count_atomic(int* sum) {
  if (threadIdx.x == 0) atomicAdd(sum, 1);
}

// Sees the neighbour's half-done work, or not.
__global__ void read_neighbour(int* x) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  x[i] = x[(i + 32) % 96] + 1;
}

[[maybe_unused]] void check_report(unsigned threads) {
  if (const auto child = in_child()) {
    CAPTURE(child->output);
    CHECK(contains(child->output, "WARNING: ThreadSanitizer: data race"));
    CHECK(contains(child->output, "between_blocks.cpp:" + std::to_string(kLine + 3)));
    CHECK(child->exit_code == 66);
    return;
  }
  DeviceArray<int> sum(1);
  POSETAPE_LAUNCH(count_racy, 8, threads, 0, nullptr, sum.data());
  CHECK(sum.values()[0] == 8);
}

}  // namespace

TEST_CASE("a race between blocks") {
  if (kTsan) return check_report(32);
  reset();
  const auto text = finding([] {
    same_under_all_schedules([] {
      DeviceArray<int> x(96);
      POSETAPE_LAUNCH(read_neighbour, 3, 32, 0, nullptr, x.data());
      return x.values();
    });
  });
  CHECK(contains(text, "the result depends on the order"));
}

#ifdef POSETAPE_TSAN
TEST_CASE("a race between large blocks that ThreadSanitizer sees") {
  check_report(static_cast<unsigned>(std::min(watched_threads(), 256)));
}
#endif

TEST_CASE("blocks that count atomically") {
  reset();
  const auto sum = same_under_all_schedules([] {
    DeviceArray<int> count(1);
    POSETAPE_LAUNCH(count_atomic, 8, 32, 0, nullptr, count.data());
    return count.values();
  });
  CHECK(sum[0] == 8);
}
