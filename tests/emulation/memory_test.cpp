// Copies, fills, pinned memory and the size of the device.
#include <numeric>

#include "kernels/emulation/architecture.hpp"
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

TEST_CASE("copies between host and device") {
  reset();
  std::vector<int> x(1000), y(1000);
  std::iota(x.begin(), x.end(), 7);
  int *a = nullptr, *b = nullptr;
  CHECK(cudaMalloc(&a, 4000) == cudaSuccess);
  CHECK(cudaMalloc(&b, 4000) == cudaSuccess);
  CHECK(reinterpret_cast<std::uintptr_t>(a) % 256 == 0);
  CHECK(cudaMemcpyAsync(a, x.data(), 4000, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(cudaMemcpyAsync(b, a, 4000, cudaMemcpyDeviceToDevice) == cudaSuccess);
  CHECK(cudaMemsetAsync(b, 0, 16) == cudaSuccess);
  CHECK(cudaMemcpyAsync(y.data(), b, 4000, cudaMemcpyDefault) == cudaSuccess);
  for (int i = 0; i < 1000; ++i) CHECK(y[i] == (i < 4 ? 0 : i + 7));
  CHECK(cudaMemcpy(y.data(), a, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(b, a, 4, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemset(y.data(), 0, 4) == cudaErrorInvalidValue);
  CHECK(contains(finding([&] { cudaMemcpy(a + 1, a, 8, cudaMemcpyDeviceToDevice); }), "overlap"));
}

// Pageable memory is read at the call, pinned memory when the copy runs.
TEST_CASE("when a copy reads host memory") {
  reset();
  set_stream_order({StreamOrder::Kind::submission});
  cudaStream_t stream;
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  int* device = nullptr;
  int* pinned = nullptr;
  CHECK(cudaMalloc(&device, 8) == cudaSuccess);
  CHECK(cudaMallocHost(&pinned, 4) == cudaSuccess);
  int pageable = 1;
  *pinned = 1;
  CHECK(cudaMemcpyAsync(device, &pageable, 4, cudaMemcpyHostToDevice, stream) == cudaSuccess);
  CHECK(cudaMemcpyAsync(device + 1, pinned, 4, cudaMemcpyHostToDevice, stream) == cudaSuccess);
  pageable = *pinned = 2;
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  int result[2];
  CHECK(cudaMemcpy(result, device, 8, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(result[0] == 1);
  CHECK(result[1] == 2);
  set_stream_order({});
}

TEST_CASE("the device's memory ends") {
  reset();
  set_device_memory(std::size_t{4} << 20);
  std::size_t free = 0, total = 0;
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(total == std::size_t{4} << 20);
  CHECK(free == total);
  void *a = nullptr, *b = nullptr;
  CHECK(cudaMalloc(&a, 3 << 20) == cudaSuccess);
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(free < 1 << 20);
  CHECK(cudaMalloc(&b, 2 << 20) == cudaErrorMemoryAllocation);
  CHECK(b == nullptr);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK_THROWS_AS(set_device_memory(1 << 20), std::logic_error);
  CHECK(cudaFree(a) == cudaSuccess);
  for (int i = 0; i < 20; ++i) {  // freed memory comes back, also in other sizes
    CHECK(cudaMalloc(&a, 1 << 20) == cudaSuccess);
    CHECK(cudaMalloc(&b, 1800000) == cudaSuccess);
    CHECK(cudaFree(a) == cudaSuccess);
    CHECK(cudaFree(b) == cudaSuccess);
  }
  CHECK(leaks() == "");
  reset();
  set_device_memory(std::size_t{8} << 30);
}

// AddressSanitizer reports these at the access (kernels/device_bounds.cpp).
#ifndef POSETAPE_ASAN
namespace {
__global__ void scribble(int* x, int offset) {
  x[offset] = 1;
}
}  // namespace

TEST_CASE("red zones are checked on demand and freed memory on its way back") {
  reset();
  DeviceArray<int> guard(1);
  int* x = nullptr;
  CHECK(cudaMalloc(&x, 40) == cudaSuccess);
  check_device_memory();
  CHECK(contains(finding([&] { POSETAPE_LAUNCH(scribble, 1, 1, 0, nullptr, x, 12); }),
                 "written 8 bytes past the end of the allocation of 40 bytes"));

  set_device_memory(2 << 20);
  CHECK(cudaMalloc(&x, 1600 * 1024) == cudaSuccess);
  int* y = nullptr;
  CHECK(cudaMalloc(&y, 100 * 1024) == cudaSuccess);
  CHECK(cudaFree(x) == cudaSuccess);
  POSETAPE_LAUNCH(scribble, 1, 1, 0, nullptr, y, -100 * 1024);  // into what x was
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  const auto text = finding([&] { cudaMalloc(&x, 1400 * 1024); });
  CHECK(contains(text, "freed device memory was written"));
  set_device_memory(std::size_t{8} << 30);
}
#endif

TEST_CASE("properties and texts") {
  reset();
  int value = -1;
  CHECK(cudaGetDeviceCount(&value) == cudaSuccess);
  CHECK(value == 8);
  CHECK(cudaSetDevice(8) == cudaErrorInvalidDevice);
  CHECK(cudaSetDevice(-1) == cudaErrorInvalidDevice);
  CHECK(cudaSetDevice(1) == cudaSuccess);
  CHECK(cudaGetDevice(&value) == cudaSuccess);
  CHECK(value == 1);
  char place[32];
  CHECK(cudaDeviceGetPCIBusId(place, sizeof place, 1) == cudaSuccess);
  CHECK(std::string(place) == "0000:02:00.0");
  CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == cudaSuccess);
  CHECK(value == 163 * 1024);
  CHECK(std::string(cudaGetErrorString(cudaErrorMemoryAllocation)) == "out of memory");
  CHECK(std::string(cudaGetErrorName(cudaErrorNoDevice)) == "cudaErrorNoDevice");
  CHECK_THROWS_AS(set_architecture(70), std::invalid_argument);
}
