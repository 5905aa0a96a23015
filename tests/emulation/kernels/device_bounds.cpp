// A tail guard that is off by one, vector loads from addresses that allow none, and shared memory
// that nobody set.
#include <cmath>

#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

template <bool kClean>
__global__ void scale(float* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (kClean ? i < n : i <= n) x[i] = static_cast<float>(2 * i);
}

__global__ void one_before(float* x) {
  x[-1] = 1;
}

__global__ void double_vectors(const float* x, float* y) {
  const float4 v = load_vector<float4>(x + 4 * threadIdx.x);
  store_vector(y + 4 * threadIdx.x, make_float4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w));
}

template <bool kClean>
__global__ void sum_of_block(const float* x, float* out, int n) {
  POSETAPE_SHARED(float, shared, 64);
  const int t = static_cast<int>(threadIdx.x);
  if (kClean || t < n) shared[t] = t < n ? x[t] : 0.0f;
  __syncthreads();
  if (t > 0) return;
  float sum = 0;
  for (int i = 0; i < 64; ++i) sum += shared[i];
  *out = sum;
}

template <bool kClean>
float sum(int n) {
  reset();
  DeviceArray<float> x(64, 1.0f), out(1);
  POSETAPE_LAUNCH(sum_of_block<kClean>, 1, 64, 0, nullptr, x.data(), out.data(), n);
  return out.values()[0];
}

}  // namespace

TEST_CASE("a tail guard that is off by one") {
  if (kAsan) {
    if (const auto child = in_child()) {
      CAPTURE(child->output);
      CHECK(contains(child->output, "ERROR: AddressSanitizer: use-after-poison"));
      CHECK(contains(child->output, "WRITE of size 4"));
      CHECK(contains(child->output, "device_bounds.cpp"));
      CHECK(child->exit_code != 0);
      return;
    }
  }
  reset();
  DeviceArray<float> x(100);
  CHECK(finding([&] { POSETAPE_LAUNCH(scale<true>, 4, 32, 0, nullptr, x.data(), 100); }) == "");
  const auto text =
      finding([&] { POSETAPE_LAUNCH(scale<false>, 4, 32, 0, nullptr, x.data(), 100); });
  CAPTURE(text);
  CHECK(contains(text,
                 "written 0 bytes past the end of the allocation of 400 bytes by cudaMalloc "
                 "number 1, found after kernel scale<false> launched at "));
}

TEST_CASE("a write before an allocation") {
  if (kAsan) {
    if (const auto child = in_child()) {
      CHECK(contains(child->output, "ERROR: AddressSanitizer: use-after-poison"));
      return;
    }
  }
  reset();
  DeviceArray<float> x(100);
  const auto text = finding([&] { POSETAPE_LAUNCH(one_before, 1, 1, 0, nullptr, x.data()); });
  CHECK(contains(text, "written 4 bytes before the begin of the allocation of 400 bytes"));
}

TEST_CASE("a misaligned vector load") {
  reset();
  DeviceArray<float> x(129, 3.0f), y(128);
  CHECK(finding([&] { POSETAPE_LAUNCH(double_vectors, 1, 32, 0, nullptr, x.data(), y.data()); }) ==
        "");
  CHECK(y.values() == std::vector<float>(128, 6.0f));
  const auto text =
      finding([&] { POSETAPE_LAUNCH(double_vectors, 1, 32, 0, nullptr, x.data() + 1, y.data()); });
  CAPTURE(text);
  CHECK(contains(text, "misaligned address: thread 0 (warp 0, lane 0) uses 0x"));
  CHECK(contains(text, "which is no multiple of 16"));
  CHECK(contains(text, "device_bounds.cpp:"));
}

TEST_CASE("shared memory that was never set") {
  CHECK(sum<true>(64) == 64);
  CHECK(sum<true>(50) == 50);
  CHECK(sum<false>(64) == 64);
  CHECK(std::isnan(sum<false>(50)));
}

TEST_CASE("device memory that was never set") {
  reset();
  float* data = nullptr;
  CHECK(cudaMalloc(&data, 16) == cudaSuccess);
  float x[4] = {};
  CHECK(cudaMemcpy(x, data, 16, cudaMemcpyDeviceToHost) == cudaSuccess);
  for (const float value : x) CHECK(std::isnan(value));
  CHECK(cudaFree(data) == cudaSuccess);
}
