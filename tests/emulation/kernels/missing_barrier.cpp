// A two-stage block reduction whose second call writes the buffer that slower warps still read from
// the first one: pytorch#27634, mlx#2340.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

constexpr int kLine = __LINE__;
template <bool kClean>
__device__ float block_sum(float x) {
  POSETAPE_SHARED(float, partial, 32);
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xFFFFFFFFu, x, step);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) {
    sum += partial[warp];
  }
  if (kClean) __syncthreads();
  return sum;
}

template <bool kClean>
__global__ void moments(const float* x, float* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const float mean = block_sum<kClean>(x[i]) / static_cast<float>(blockDim.x);
  const float square = block_sum<kClean>((x[i] - mean) * (x[i] - mean));
  out[i] = mean + square;
}

template <bool kClean>
std::vector<float> run(unsigned threads) {
  std::vector<float> x(3 * threads);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7);
  DeviceArray<float> dx(x), out(x.size());
  POSETAPE_LAUNCH(moments<kClean>, 3, threads, 0, nullptr, dx.data(), out.data());
  return out.values();
}

}  // namespace

TEST_CASE("a missing barrier changes results between schedules") {
  // ThreadSanitizer ends the test with the report that the next one wants.
  if (kTsan) return;
  reset();
  const auto text = finding([] { same_under_all_schedules([] { return run<false>(128); }); });
  CHECK(contains(text, "the result depends on the order"));
  CHECK(finding([] { same_under_all_schedules([] { return run<true>(128); }); }) == "");
}

// Only ThreadSanitizer makes this report. Sizes matter: some of its runtimes see nothing once there
// are many threads.
#ifdef POSETAPE_TSAN
namespace {
void check_report(unsigned threads) {
  if (static_cast<int>(threads) > watched_threads()) {
    const auto text = finding([threads] { run<false>(threads); });
    CHECK(contains(text, "ThreadSanitizer sees no races in blocks of 126 threads or more"));
    return;
  }
  if (const auto child = in_child()) {
    CAPTURE(child->output);
    CHECK(contains(child->output, "WARNING: ThreadSanitizer: data race"));
    CHECK(contains(child->output, "missing_barrier.cpp:" + std::to_string(kLine + 5)));
    CHECK(contains(child->output, "missing_barrier.cpp:" + std::to_string(kLine + 9)));
    CHECK(child->exit_code == 66);
    return;
  }
  run<false>(threads);
}
}  // namespace

TEST_CASE("ThreadSanitizer sees a missing barrier among 64 threads") {
  check_report(64);
}
TEST_CASE("ThreadSanitizer sees a missing barrier among 96 threads") {
  check_report(96);
}
TEST_CASE("ThreadSanitizer sees a missing barrier among 256 threads") {
  check_report(256);
}
TEST_CASE("ThreadSanitizer sees a missing barrier among 1024 threads") {
  check_report(1024);
}
#endif

TEST_CASE("ThreadSanitizer is silent on a reduction with all its barriers") {
  reset();
  CHECK(finding([] { same_under_all_schedules([] { return run<true>(96); }); }) == "");
}
