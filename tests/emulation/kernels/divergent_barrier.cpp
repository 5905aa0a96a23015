// A barrier inside of a tail guard: the threads past the end never come.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

constexpr int kLine = __LINE__;
template <bool kClean>
__global__ void reverse_block(const float* x, float* y, int n) {
  POSETAPE_SHARED(float, shared, 64);
  const int t = static_cast<int>(threadIdx.x);
  if (kClean) {
    if (t < n) shared[t] = x[t];
    __syncthreads();
    if (t < n) y[t] = shared[n - 1 - t];
  } else if (t < n) {
    shared[t] = x[t];
    __syncthreads();
    y[t] = shared[n - 1 - t];
  }
}

template <bool kClean>
std::vector<float> run(int n) {
  DeviceArray<float> x(64, 2.0f), y(64);
  POSETAPE_LAUNCH(reverse_block<kClean>, 1, 64, 0, nullptr, x.data(), y.data(), n);
  return y.values();
}

}  // namespace

TEST_CASE("a barrier inside of a tail guard") {
  reset();
  CHECK(finding([] { run<true>(50); }) == "");
  CHECK(finding([] { run<false>(64); }) == "");
  const auto text = finding([] { run<false>(50); });
  CAPTURE(text);
  CHECK(contains(text, "divergent barrier: some threads exited while others wait at a barrier"));
  CHECK(contains(text, "warp 0\n    lanes 0-31: in __syncthreads, "));
  CHECK(contains(text, "divergent_barrier.cpp:" + std::to_string(kLine + 11)));
  CHECK(contains(text, "    lanes 18-31: exited\n"));
}
