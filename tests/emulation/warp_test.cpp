// Warp primitives: what they give, and what they report.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

constexpr unsigned kFull = 0xFFFFFFFFu;

template <class T>
__device__ T value_of(int lane) {
  if constexpr (std::is_same_v<T, bf16x2>) {
    return {bf16(static_cast<float>(lane)), bf16(static_cast<float>(-lane))};
  } else {
    return static_cast<T>(lane) * static_cast<T>(3);
  }
}

template <class T>
__device__ bool is_value_of(T value, int lane) {
  const T expected = value_of<T>(lane);
  if constexpr (std::is_same_v<T, bf16x2>) {
    return value.x.bits == expected.x.bits && value.y.bits == expected.y.bits;
  } else {
    return value == expected;
  }
}

// For each lane, how many of the shuffles gave what CUDA's definition says.
template <class T>
__global__ void shuffles(int* good) {
  const int t = static_cast<int>(threadIdx.x);
  const int lane = t % 32;
  const T x = value_of<T>(t);
  const int warp = t - lane;
  good[t] = is_value_of(__shfl_sync(kFull, x, 5), warp + 5) +
            is_value_of(__shfl_sync(kFull, x, 37), warp + 5) +
            is_value_of(__shfl_sync(kFull, x, 3, 8), warp + lane / 8 * 8 + 3) +
            is_value_of(__shfl_up_sync(kFull, x, 2u), lane < 2 ? t : t - 2) +
            is_value_of(__shfl_up_sync(kFull, x, 2u, 16), lane % 16 < 2 ? t : t - 2) +
            is_value_of(__shfl_down_sync(kFull, x, 4u), lane >= 28 ? t : t + 4) +
            is_value_of(__shfl_down_sync(kFull, x, 4u, 8), lane % 8 >= 4 ? t : t + 4) +
            is_value_of(__shfl_xor_sync(kFull, x, 1), t ^ 1) +
            is_value_of(__shfl_xor_sync(kFull, x, 16), t ^ 16) +
            is_value_of(__shfl_xor_sync(kFull, x, 8, 8), lane < 8      ? t
                                                         : (t ^ 8) < t ? t ^ 8
                                                                       : t);
}

__global__ void reduce_warp(const float* x, float* out) {
  float sum = x[threadIdx.x];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kFull, sum, step);
  out[threadIdx.x] = sum;
}

// The halves of a warp, each on its own.
__global__ void halves(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned mask = lane < 16 ? 0x0000FFFFu : 0xFFFF0000u;
  unsigned value = 0;
  if (lane < 16) {
    value = __ballot_sync(mask, lane % 2 == 0);
    __syncwarp(mask);
  } else {
    for (int i = 0; i < 3; ++i) value += __reduce_add_sync(mask, lane);
  }
  __syncwarp();
  out[threadIdx.x] = value;
}

__global__ void votes(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int good = 0;
  good += __ballot_sync(kFull, lane > 3) == 0xFFFFFFF0u;
  good += __any_sync(kFull, lane == 31) == 1;
  good += __any_sync(kFull, lane == 32) == 0;
  good += __all_sync(kFull, lane < 32) == 1;
  good += __all_sync(kFull, lane < 31) == 0;
  good += __reduce_add_sync(kFull, lane - 16) == -16;
  good += __reduce_min_sync(kFull, lane - 16) == -16;
  good += __reduce_max_sync(kFull, lane - 40) == -9;
  good += __reduce_min_sync(kFull, static_cast<unsigned>(lane) - 1u) == 0u;
  good += __reduce_max_sync(kFull, static_cast<unsigned>(lane) - 1u) == kFull;
  good += __reduce_and_sync(kFull, 0xF0u | static_cast<unsigned>(lane)) == 0xE0u + 0x10u;
  good += __reduce_or_sync(kFull, static_cast<unsigned>(lane)) == 31u;
  good += __reduce_xor_sync(kFull, static_cast<unsigned>(lane == 7)) == 1u;
  good += __activemask() == 1u << lane;
  out[lane] = good;
}

__global__ void not_in_mask() {
  __syncwarp(0x0000FFFFu);
}

__global__ void exited_lane(float* out) {
  if (threadIdx.x == 9) return;
  out[threadIdx.x] = __shfl_xor_sync(kFull, 1.0f, 1);
}

__global__ void first_exits(float* out) {
  if (threadIdx.x == 0) return;
  out[threadIdx.x] = __shfl_xor_sync(kFull, 1.0f, 1);
}

__global__ void absent_lanes(float* out) {
  out[threadIdx.x] = __shfl_xor_sync(kFull, 1.0f, 1);
}

__global__ void different_sites(float* out) {
  float x = 0;
  if (threadIdx.x < 16) {
    x = __shfl_sync(kFull, 1.0f, 0);
  } else {
    x = __shfl_sync(kFull, 2.0f, 0);
  }
  out[threadIdx.x] = x;
}

__global__ void different_masks(float* out) {
  const unsigned mask = threadIdx.x < 16 ? kFull : 0xFFFFFFFEu;
  out[threadIdx.x] = __shfl_sync(mask, 1.0f, 1);
}

__global__ void source_outside(float* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_down_sync(0x0000FFFFu, 1.0f, 1u);
}

__global__ void integer_atomics(int* sum, unsigned* most, unsigned* ring) {
  const int t = static_cast<int>(threadIdx.x);
  atomicAdd(sum, t);
  atomicMax(most, threadIdx.x);
  atomicInc(ring, 6u);
  atomicCAS(sum, -1, 0);
}

template <class T>
void check_shuffles() {
  reset();
  DeviceArray<int> good(96);
  const auto result = same_under_all_schedules([&] {
    POSETAPE_LAUNCH(shuffles<T>, 1, 96, 0, nullptr, good.data());
    return good.values();
  });
  CHECK(result == std::vector<int>(96, 10));
}

std::string run(void (*kernel)(float*), int threads) {
  reset();
  DeviceArray<float> out(64);
  return finding([&] { POSETAPE_LAUNCH(kernel, 1, threads, 0, nullptr, out.data()); });
}

}  // namespace

TEST_CASE("shuffles of every type") {
  check_shuffles<float>();
  check_shuffles<double>();
  check_shuffles<int>();
  check_shuffles<unsigned>();
  check_shuffles<bf16x2>();
}

TEST_CASE("a warp reduction by shuffles") {
  reset();
  std::vector<float> x(64);
  for (int i = 0; i < 64; ++i) x[i] = static_cast<float>(i);
  DeviceArray<float> dx(x), out(64);
  const auto result = same_under_all_schedules([&] {
    POSETAPE_LAUNCH(reduce_warp, 1, 64, 0, nullptr, dx.data(), out.data());
    return out.values();
  });
  for (int i = 0; i < 64; ++i) CHECK(result[i] == (i < 32 ? 496.0f : 1520.0f));
}

TEST_CASE("votes and reductions") {
  reset();
  DeviceArray<int> out(32);
  POSETAPE_LAUNCH(votes, 1, 32, 0, nullptr, out.data());
  CHECK(out.values() == std::vector<int>(32, 14));
}

TEST_CASE("halves of a warp meet on their own") {
  reset();
  DeviceArray<unsigned> out(64);
  const auto result = same_under_all_schedules([&] {
    POSETAPE_LAUNCH(halves, 1, 64, 0, nullptr, out.data());
    return out.values();
  });
  for (int i = 0; i < 64; ++i) CHECK(result[i] == (i % 32 < 16 ? 0x5555u : 3u * 376u));
}

TEST_CASE("a lane that is not in its own mask") {
  const std::string text = finding([] { POSETAPE_LAUNCH(not_in_mask, 1, 32, 0, nullptr); });
  CHECK(
      contains(text, "wrong mask: thread 16 (warp 0, lane 16) is not in its own mask 0x0000ffff"));
}

TEST_CASE("a mask that names an exited lane") {
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    const std::string text = run(exited_lane, 32);
    CAPTURE(text);
    CHECK(contains(text, "exited lane: the mask 0xffffffff of thread "));
    CHECK(contains(text, "lanes 9: exited\n"));
    CHECK(contains(text, "in __shfl_xor_sync(0xffffffff), "));
  }
  set_schedule({});
}

TEST_CASE("a mask that names a lane which exited before any other came") {
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    CHECK(contains(run(first_exits, 32), "exited lane: the mask 0xffffffff of thread "));
  }
  set_schedule({});
}

TEST_CASE("a mask that names lanes which the block does not have") {
  CHECK(contains(run(absent_lanes, 48), "names lanes that the block does not have"));
  CHECK(run(absent_lanes, 64) == "");
}

TEST_CASE("lanes at different calls or with different masks") {
  for (const Schedule& schedule : all_schedules()) {
    set_schedule(schedule);
    for (const auto kernel : {different_sites, different_masks}) {
      const std::string text = run(kernel, 32);
      CAPTURE(text);
      CHECK(contains(text, "wrong mask: thread "));
      CHECK(contains(text, "name each other and are at different calls or give different masks"));
    }
  }
  set_schedule({});
}

TEST_CASE("a shuffle from a lane outside of the mask") {
  CHECK(contains(run(source_outside, 32), "reads lane 16, which is not in the mask 0x0000ffff"));
}

TEST_CASE("integer atomics") {
  reset();
  DeviceArray<int> sum(1);
  DeviceArray<unsigned> most(1), ring(1);
  POSETAPE_LAUNCH(integer_atomics, 2, 64, 0, nullptr, sum.data(), most.data(), ring.data());
  CHECK(sum.values()[0] == 2 * 2016);
  CHECK(most.values()[0] == 63);
  CHECK(ring.values()[0] == 128 % 7);
}
