// Launches, their limits and their shared memory.
#include <algorithm>
#include <future>

#include "tests/emulation/support.hpp"

#include "kernels/emulation/architecture.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

__global__ void add(const float* a, const float* b, float* c, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) c[i] = a[i] + b[i];
}

__global__ void nothing() {}

__global__ void reverse(const int* x, int* y) {
  POSETAPE_DYNAMIC_SHARED(int, shared);
  shared[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

// The same storage at every call, as in CUDA.
__device__ float first_of_block(float x) {
  POSETAPE_SHARED(float, first, 1);
  if (threadIdx.x == 0) first[0] = x;
  __syncthreads();
  const float result = first[0];
  __syncthreads();
  return result;
}

template <class T, int kRows>
__global__ void tile(T* out) {
  using Row = T[33];
  POSETAPE_SHARED(Row, rows, kRows);
  rows[threadIdx.x % kRows][threadIdx.x / kRows] = static_cast<T>(threadIdx.x);
  __syncthreads();
  const T twice = static_cast<T>(first_of_block(1.0f) + first_of_block(2.0f));
  out[blockIdx.x * blockDim.x + threadIdx.x] =
      rows[threadIdx.x % kRows][threadIdx.x / kRows] + twice;
}

template <int kBytes>
__global__ void use_shared() {
  POSETAPE_SHARED(char, bytes, kBytes);
  POSETAPE_DYNAMIC_SHARED(char, more);
  bytes[threadIdx.x] = 1;
  more[threadIdx.x] = 1;
}

__global__ void unset_shared(float* out) {
  POSETAPE_SHARED(float, x, 4);
  out[blockIdx.x * 4 + threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = 1;
}

__global__ void overrun(int n) {
  POSETAPE_SHARED(int, counts, 32);
  int* data = counts;  // what the undefined-behaviour sanitizer does not check
  for (int i = 0; i < n; ++i) data[i] = i;
}

__global__ void deep(int n) {
  volatile char frame[1 << 14];
  frame[0] = static_cast<char>(n);
  if (n > 0) deep(n - 1);
  frame[1] = frame[0];
}

__global__ void far_away(int* x) {
  x[threadIdx.x << 28] = 1;
}

__global__ void note_order(int* order, int* next) {
  const int t = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  order[atomicAdd(next, 1)] = t;
}

std::vector<int> order_of(const Schedule& schedule) {
  set_schedule(schedule);
  DeviceArray<int> order(128), next(1);
  POSETAPE_LAUNCH(note_order, 2, 64, 0, nullptr, order.data(), next.data());
  auto result = order.values();
  set_schedule({});
  return result;
}

cudaError_t launch_nothing(dim3 grid, dim3 block, std::size_t shared = 0) {
  const cudaError_t error = POSETAPE_LAUNCH(nothing, grid, block, shared, nullptr);
  CHECK(cudaGetLastError() == error);
  CHECK(cudaGetLastError() == cudaSuccess);
  return error;
}

}  // namespace

TEST_CASE("a vector sum") {
  reset();
  const int n = 1000;
  std::vector<float> a(n), b(n);
  for (int i = 0; i < n; ++i) {
    a[i] = static_cast<float>(i);
    b[i] = 0.5f;
  }
  {
    DeviceArray<float> da(a), db(b), dc(n);
    const auto c = same_under_all_schedules([&] {
      CHECK(POSETAPE_LAUNCH(add, 8, 128, 0, nullptr, da.data(), db.data(), dc.data(), n) ==
            cudaSuccess);
      return dc.values();
    });
    for (int i = 0; i < n; ++i) CHECK(c[i] == a[i] + b[i]);
  }
  CHECK(kernels_run() == 7);
  CHECK(leaks() == "");
}

TEST_CASE("limits of a launch") {
  reset();
  CHECK(launch_nothing(1, 1024) == cudaSuccess);
  CHECK(launch_nothing(1, dim3(16, 16, 4)) == cudaSuccess);
  CHECK(launch_nothing(dim3(1, 1, 3), dim3(1, 1, 64)) == cudaSuccess);
  CHECK(launch_nothing(1, 1025) == cudaErrorInvalidConfiguration);
  CHECK(launch_nothing(1, 0) == cudaErrorInvalidConfiguration);
  CHECK(launch_nothing(0, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch_nothing(1, dim3(32, 33)) == cudaErrorInvalidConfiguration);
  CHECK(launch_nothing(1, dim3(1, 1, 65)) == cudaErrorInvalidConfiguration);
  CHECK(launch_nothing(dim3(1, 65536), 1) == cudaErrorInvalidConfiguration);
  CHECK(launch_nothing(dim3(1, 1, 65536), 1) == cudaErrorInvalidConfiguration);
  CHECK(launch_nothing(dim3(0x80000000u), 1) == cudaErrorInvalidConfiguration);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(kernels_run() == 3);
}

TEST_CASE("dynamic shared memory, by architecture") {
  for (const auto& [compute, kilobytes] : {std::pair{75, 64}, {80, 163}, {86, 99}, {90, 227}}) {
    reset();
    set_architecture(compute);
    CHECK(launch_nothing(1, 1, 48 * 1024) == cudaSuccess);
    CHECK(launch_nothing(1, 1, 48 * 1024 + 1) == cudaErrorInvalidValue);
    const auto allow = [&](int bytes) {
      return cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    };
    CHECK(allow(kilobytes * 1024 + 1) == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
    CHECK(allow(kilobytes * 1024) == cudaSuccess);
    CHECK(launch_nothing(1, 1, static_cast<std::size_t>(kilobytes) * 1024) == cudaSuccess);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
    cudaDeviceProp properties;
    CHECK(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
    CHECK(properties.major * 10 + properties.minor == compute);
  }
  set_architecture(80);
}

TEST_CASE("static and dynamic shared memory together") {
  reset();
  CHECK(finding([] { POSETAPE_LAUNCH((use_shared<40000>), 1, 32, 9152, nullptr); }) == "");
  const auto both = finding([] { POSETAPE_LAUNCH((use_shared<40000>), 1, 32, 9153, nullptr); });
  CHECK(contains(both, "with 'bytes' the block needs 49153 bytes and may have 49152"));
  const auto fixed = finding([] { POSETAPE_LAUNCH((use_shared<49153>), 1, 32, 0, nullptr); });
  CHECK(contains(fixed, "too much shared memory"));
}

TEST_CASE("shared memory holds what threads put there") {
  reset();
  std::vector<int> x(100);
  for (int i = 0; i < 100; ++i) x[i] = i * i;
  DeviceArray<int> dx(x), dy(100);
  POSETAPE_LAUNCH(reverse, 1, 100, 400, nullptr, dx.data(), dy.data());
  const auto y = dy.values();
  for (int i = 0; i < 100; ++i) CHECK(y[i] == x[99 - i]);
  DeviceArray<double> out(768);
  const auto result = same_under_all_schedules([&] {
    POSETAPE_LAUNCH((tile<double, 8>), 3, 256, 0, nullptr, out.data());
    return out.values();
  });
  for (int i = 0; i < 768; ++i) CHECK(result[i] == i % 256 + 3);
}

TEST_CASE("shared memory that nobody wrote is no number") {
  reset();
  DeviceArray<float> out(12);
  POSETAPE_LAUNCH(unset_shared, 3, 4, 0, nullptr, out.data());
  for (const float x : out.values()) CHECK(x != x);
}

TEST_CASE("shared memory written past its end") {
  if (kAsan) {
    const auto child = in_child();
    if (child) {
      CHECK(contains(child->output, "use-after-poison"));
      CHECK(contains(child->output, "launch_test.cpp"));
      return;
    }
  }
  CHECK(finding([] { POSETAPE_LAUNCH(overrun, 1, 1, 0, nullptr, 32); }) == "");
  const auto text = finding([] { POSETAPE_LAUNCH(overrun, 1, 1, 0, nullptr, 33); });
  CHECK(contains(text, "shared memory was written past the end of 'counts'"));
}

TEST_CASE("a thread whose stack overflows") {
  if (const auto child = in_child()) {
    CAPTURE(child->output);
    CHECK(contains(child->output, "thread 0 of block (0,0,0) of deep overflowed its stack"));
    CHECK(child->exit_code != 0);
    return;
  }
  POSETAPE_LAUNCH(deep, 1, 1, 0, nullptr, 100);
  cudaDeviceSynchronize();
}

TEST_CASE("a thread that is far out of bounds") {
  if (const auto child = in_child()) {
    CAPTURE(child->output);
    CHECK(contains(child->output, "thread 1 of block (0,0,0) of far_away faulted at 0x"));
    CHECK(contains(child->output, "(no allocation)"));
    CHECK(child->exit_code != 0);
    return;
  }
  DeviceArray<int> x(4);
  POSETAPE_LAUNCH(far_away, 1, 2, 0, nullptr, x.data());
  cudaDeviceSynchronize();
}

TEST_CASE("the orders of threads and blocks") {
  reset();
  using Order = Schedule::Order;
  const auto ascending = order_of({Order::ascending});
  const auto descending = order_of({Order::descending});
  const auto interleaved = order_of({Order::interleaved});
  for (int i = 0; i < 128; ++i) {
    CHECK(ascending[i] == i);
    CHECK(descending[i] == 127 - i);
    CHECK(interleaved[i] == i / 64 * 64 + i % 2 * 32 + i % 64 / 2);
  }
  const auto random = order_of({Order::random, 1});
  CHECK(random == order_of({Order::random, 1}));
  CHECK(random != order_of({Order::random, 2}));
  std::vector<int> sorted = random;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == ascending);
}

// One at a time is let in, so results are right; and ThreadSanitizer finds nothing.
TEST_CASE("two host threads") {
  reset();
  const auto work = [] {
    cudaStream_t stream;
    int* x = nullptr;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMalloc(&x, 128 * sizeof(int));
    std::vector<int> result(128);
    bool good = true;
    for (int i = 0; i < 10; ++i) {
      cudaMemsetAsync(x, 0, 128 * sizeof(int), stream);
      POSETAPE_LAUNCH(note_order, 2, 32, 0, stream, x + 1, x);
      cudaMemcpyAsync(result.data(), x, 128 * sizeof(int), cudaMemcpyDeviceToHost, stream);
      cudaStreamSynchronize(stream);
      good = good && result[0] == 64 && result[64] == 63;
    }
    cudaFree(x);
    cudaStreamDestroy(stream);
    return good;
  };
  auto other = std::async(std::launch::async, work);
  CHECK(work());
  CHECK(other.get());
}

TEST_CASE("a schedule that changes the result is reported") {
  reset();
  int runs = 0;
  const auto text = finding([&] {
    same_under_all_schedules([&] { return std::vector<int>{1, 2, runs++ / 3}; });
  });
  CHECK(contains(text, "ascending and random, seed 1 differ first in element 2"));
}
