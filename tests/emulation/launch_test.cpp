#include <doctest/doctest.h>

#include <vector>

#include "kernels/cuda/port.hpp"
#include "kernels/emulation/control.hpp"
#include "kernels/emulation/finding.hpp"
#include "kernels/emulation/schedule.hpp"

using namespace posetape;
using namespace posetape::emulation;

namespace {

__global__ void add(const float* a, const float* b, float* c, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) c[i] = a[i] + b[i];
}

}  // namespace

TEST_CASE("a vector sum") {
  reset();
  const int n = 1000;
  std::vector<float> a(n), b(n), c(n);
  for (int i = 0; i < n; ++i) {
    a[i] = static_cast<float>(i);
    b[i] = 0.5f;
  }
  float *da, *db, *dc;
  CHECK(cudaMalloc(&da, n * 4) == cudaSuccess);
  CHECK(cudaMalloc(&db, n * 4) == cudaSuccess);
  CHECK(cudaMalloc(&dc, n * 4) == cudaSuccess);
  CHECK(cudaMemcpy(da, a.data(), n * 4, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpy(db, b.data(), n * 4, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(POSETAPE_LAUNCH(add, 8, 128, 0, nullptr, da, db, dc, n) == cudaSuccess);
  CHECK(cudaMemcpy(c.data(), dc, n * 4, cudaMemcpyDeviceToHost) == cudaSuccess);
  for (int i = 0; i < n; ++i) CHECK(c[i] == a[i] + b[i]);
  CHECK(cudaFree(da) == cudaSuccess);
  CHECK(cudaFree(db) == cudaSuccess);
  CHECK(cudaFree(dc) == cudaSuccess);
  CHECK(leaks() == "");
}
