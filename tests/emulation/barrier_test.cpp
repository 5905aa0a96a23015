// Barriers of the block, and what they report.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

__global__ void reduce_block(const float* x, float* sums, int n) {
  POSETAPE_SHARED(float, shared, 256);
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  shared[threadIdx.x] = i < n ? x[i] : 0.0f;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = shared[0];
}

__global__ void vote(int* out, int threshold) {
  const int t = static_cast<int>(threadIdx.x);
  const int count = __syncthreads_count(t < threshold);
  const int all = __syncthreads_and(t < threshold);
  const int any = __syncthreads_or(t < threshold);
  out[t] = count * 4 + (all != 0) * 2 + (any != 0);
}

__global__ void indices(unsigned* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1;
}

constexpr int kLine = __LINE__;
__global__ void two_barriers() {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void return_early() {
  if (threadIdx.x >= 40) return;
  __syncthreads();
}

__global__ void barrier_and_warp() {
  if (threadIdx.x == 3) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}

// Lane 31 returns, perhaps last, and leaves lanes that wait for each other.
__global__ void leave_a_deadlock() {
  if (threadIdx.x == 31) return;
  if (threadIdx.x < 2) {
    __syncwarp(0x3u);
    __syncthreads();
  } else {
    __syncwarp(threadIdx.x == 2 ? 0xCu : 0x7FFFFFFCu);
  }
}

}  // namespace

TEST_CASE("a block reduction under every schedule") {
  reset();
  const int n = 700;
  std::vector<float> x(n);
  for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i);
  DeviceArray<float> dx(x), sums(3);
  const auto result = same_under_all_schedules([&] {
    POSETAPE_LAUNCH(reduce_block, 3, 256, 0, nullptr, dx.data(), sums.data(), n);
    return sums.values();
  });
  CHECK(result == std::vector<float>{32640, 98176, 113834});
}

TEST_CASE("barriers that vote") {
  reset();
  for (const int threshold : {0, 1, 70, 96}) {
    DeviceArray<int> out(96);
    POSETAPE_LAUNCH(vote, 1, 96, 0, nullptr, out.data(), threshold);
    const int expected = threshold * 4 + (threshold == 96) * 2 + (threshold > 0);
    CHECK(out.values() == std::vector<int>(96, expected));
  }
}

TEST_CASE("every thread of every block runs once") {
  reset();
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    DeviceArray<unsigned> out(3 * 2 * 4 * 5 * 7 * 2);
    POSETAPE_LAUNCH(indices, dim3(3, 2, 4), dim3(5, 7, 2), 0, nullptr, out.data());
    CHECK(out.values() == std::vector<unsigned>(out.size(), 1));
  }
  set_schedule({});
}

TEST_CASE("threads at different barriers") {
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    const std::string text = finding([] { POSETAPE_LAUNCH(two_barriers, 1, 64, 0, nullptr); });
    CAPTURE(text);
    CHECK(contains(text, "divergent barrier: threads of one block wait at different barriers"));
    CHECK(contains(text, "warp 0\n    lanes 0-31: in __syncthreads, "));
    CHECK(contains(text, "warp 1\n    lanes 0-7: in __syncthreads, "));
    CHECK(contains(text, "\n    lanes 8-31: in __syncthreads, "));
    CHECK(contains(text, "barrier_test.cpp:" + std::to_string(kLine + 3)));
    CHECK(contains(text, "barrier_test.cpp:" + std::to_string(kLine + 5)));
    CHECK(contains(text, "kernel two_barriers launched at "));
    CHECK(contains(text, "grid (1,1,1), block (64,1,1), schedule " + to_string(schedule)));
  }
  set_schedule({});
}

TEST_CASE("threads that return before a barrier") {
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    const std::string text = finding([] { POSETAPE_LAUNCH(return_early, 1, 64, 0, nullptr); });
    CAPTURE(text);
    CHECK(contains(text, "some threads exited while others wait at a barrier"));
    CHECK(contains(text, "\n    lanes 8-31: exited\n"));
  }
  set_schedule({});
}

TEST_CASE("threads that wait for each other at different primitives") {
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    const std::string text = finding([] { POSETAPE_LAUNCH(barrier_and_warp, 1, 32, 0, nullptr); });
    CAPTURE(text);
    CHECK(contains(text, "deadlock: every thread waits for another"));
    CHECK(contains(text, "lanes 0-2,4-31: in __syncwarp(0xffffffff), "));
    CHECK(contains(text, "lanes 3: in __syncthreads, "));
  }
  set_schedule({});
}

TEST_CASE("a deadlock is told at a thread that waits") {
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    const std::string text = finding([] { POSETAPE_LAUNCH(leave_a_deadlock, 1, 32, 0, nullptr); });
    CAPTURE(text);
    CHECK(contains(text, "wrong mask: thread 2 (warp 0, lane 2) and thread 3 (warp 0, lane 3)"));
    CHECK(!contains(text, "block.cpp"));
    CHECK(contains(text, "barrier_test.cpp:"));
  }
  set_schedule({});
}

TEST_CASE("barriers outside of a kernel") {
  CHECK_THROWS_AS(__syncthreads(), Finding);
  CHECK_THROWS_AS(__syncwarp(), Finding);
}
