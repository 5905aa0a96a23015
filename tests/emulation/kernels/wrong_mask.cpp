// A shuffle with the full mask in a branch that half of the warp takes, and after an early return.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

constexpr unsigned kFull = 0xFFFFFFFFu;

template <bool kClean>
__global__ void half_a_warp(float* x) {
  if (threadIdx.x < 16) {
    const unsigned mask = kClean ? 0x0000FFFFu : kFull;
    x[threadIdx.x] = __shfl_xor_sync(mask, x[threadIdx.x], 1);
  } else {
    __syncwarp(kClean ? 0xFFFF0000u : kFull);
  }
}

template <bool kClean>
__global__ void early_return(float* x, int n) {
  const int t = static_cast<int>(threadIdx.x);
  if (!kClean && t >= n) return;
  float sum = t < n ? x[t] : 0.0f;
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kFull, sum, step);
  if (t < n) x[t] = sum;
}

template <bool kClean>
std::string run_half() {
  reset();
  DeviceArray<float> x(32);
  return finding([&] { POSETAPE_LAUNCH(half_a_warp<kClean>, 1, 32, 0, nullptr, x.data()); });
}

template <bool kClean>
std::string run_early(int n) {
  reset();
  DeviceArray<float> x(32);
  return finding([&] { POSETAPE_LAUNCH(early_return<kClean>, 1, 32, 0, nullptr, x.data(), n); });
}

}  // namespace

TEST_CASE("the full mask in half a warp") {
  CHECK(run_half<true>() == "");
  const auto text = run_half<false>();
  CAPTURE(text);
  CHECK(contains(text, "wrong mask: thread "));
  CHECK(contains(text, "lanes 0-15: in __shfl_xor_sync(0xffffffff), "));
  CHECK(contains(text, "lanes 16-31: in __syncwarp(0xffffffff), "));
}

TEST_CASE("the full mask after an early return") {
  CHECK(run_early<true>(17) == "");
  CHECK(run_early<false>(32) == "");
  const auto text = run_early<false>(17);
  CAPTURE(text);
  CHECK(contains(text, "exited lane: "));
  CHECK(contains(text, "wrong_mask.cpp:"));
  CHECK(contains(text, "exited\n"));
}
