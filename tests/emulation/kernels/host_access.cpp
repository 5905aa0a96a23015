// The host's part: touching device memory, freeing it twice or never, and handing pointers across.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

__global__ void fill(int* x, int value) {
  x[threadIdx.x] = value;
}

struct Sum {
  const double* a;
  const double* b;
  double* out;
  std::int64_t n;
  double scale;
  int rows, width;
};
__global__ void sum(Sum s) {
  s.out[threadIdx.x] = s.scale * (s.a[threadIdx.x] + s.b[threadIdx.x]);
}

}  // namespace

TEST_CASE("the host in device memory") {
  if (const auto child = in_child()) {
    CAPTURE(child->output);
    CHECK(contains(child->output, "posetape emulation: host access to device memory at 0x"));
    CHECK(contains(child->output, "(byte 8 of 16 of cudaMalloc number 2)"));
    CHECK(child->exit_code != 0);
    return;
  }
  DeviceArray<int> x(4), y(4, 7);
  CHECK(y.values() == std::vector<int>(4, 7));
  volatile int* stray = y.data();
  stray[2] = 1;
}

TEST_CASE("a kernel in host memory") {
  reset();
  std::vector<int> host(4);
  const auto text = finding([&] { POSETAPE_LAUNCH(fill, 1, 4, 0, nullptr, host.data(), 1); });
  CAPTURE(text);
  CHECK(contains(text, "pointer argument number 1 of kernel fill launched at "));
  CHECK(contains(text, " is no device memory"));
  int* pinned = nullptr;
  CHECK(cudaMallocHost(&pinned, 16) == cudaSuccess);
  CHECK(finding([&] { POSETAPE_LAUNCH(fill, 1, 4, 0, nullptr, pinned, 5); }) == "");
  CHECK(pinned[3] == 5);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE("a struct of pointers with one to the host among them") {
  reset();
  DeviceArray<double> a(4, 1), b(4, 2), out(4);
  const std::vector<double> host(4);
  const auto run = [&](const double* second) {
    const Sum s{a.data(), second, out.data(), 1 << 30, 1e-5, 21845, 32767};
    return finding([&] { POSETAPE_LAUNCH(sum, 1, 4, 0, nullptr, s); });
  };
  CHECK(run(b.data()) == "");
  CHECK(out.values() == std::vector<double>(4, 1e-5 * 3));
  CHECK(contains(run(host.data()), "hold an address of the host's memory, at byte 8"));
}

TEST_CASE("a double free, and frees of what cannot be freed") {
  reset();
  int* x = nullptr;
  CHECK(cudaMalloc(&x, 16) == cudaSuccess);
  CHECK(cudaFree(nullptr) == cudaSuccess);
  CHECK(cudaFree(x) == cudaSuccess);
  CHECK(contains(finding([&] { cudaFree(x); }), "double free of device memory"));
  CHECK(cudaMalloc(&x, 16) == cudaSuccess);
  CHECK(contains(finding([&] { cudaFree(x + 1); }), "cudaFree of a pointer into the allocation"));
  int host = 0;
  CHECK(contains(finding([&] { cudaFree(&host); }), "a pointer that is not from cudaMalloc"));
}

TEST_CASE("a kernel in freed memory") {
  reset();
  int* x = nullptr;
  CHECK(cudaMalloc(&x, 16) == cudaSuccess);
  CHECK(cudaFree(x) == cudaSuccess);
  const auto text = finding([&] { POSETAPE_LAUNCH(fill, 1, 4, 0, nullptr, x, 1); });
  CHECK(contains(text, "pointer argument number 1 of kernel fill"));
  CHECK(contains(text, " has been freed"));
}

TEST_CASE("leaks") {
  reset();
  CHECK(leaks() == "");
  int* x = nullptr;
  int* pinned = nullptr;
  cudaStream_t stream;
  cudaEvent_t event;
  CHECK(cudaMalloc(&x, 16) == cudaSuccess);
  CHECK(cudaMallocHost(&pinned, 32) == cudaSuccess);
  CHECK(cudaStreamCreate(&stream) == cudaSuccess);
  CHECK(cudaEventCreate(&event) == cudaSuccess);
  CHECK(leaks() ==
        "the allocation of 16 bytes by cudaMalloc number 1\n"
        "pinned memory of 32 bytes\na stream\nan event\n");
  CHECK(cudaFree(x) == cudaSuccess);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
  CHECK(cudaEventDestroy(event) == cudaSuccess);
  CHECK(leaks() == "");
}

TEST_CASE("copies that leave their allocation") {
  reset();
  std::vector<int> host(8);
  const auto copy = [&](std::size_t begin, std::size_t bytes) {
    reset();
    DeviceArray<int> x(4);
    return finding(
        [&] { cudaMemcpy(x.data() + begin, host.data(), bytes, cudaMemcpyHostToDevice); });
  };
  CHECK(copy(0, 16) == "");
  CHECK(contains(copy(0, 17), "the target of a copy (bytes 0 to 17) is not all inside of"));
  CHECK(contains(copy(3, 8), "(bytes 12 to 20)"));
}
