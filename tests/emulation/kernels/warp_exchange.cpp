// Lanes that exchange values through shared memory: __syncwarp orders their accesses, a shuffle
// does not.
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

constexpr int kLine = __LINE__;
template <bool kClean>
__global__ void exchange(int* out) {
  POSETAPE_SHARED(int, shared, 64);
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (kClean) __syncwarp();
  const int other = shared[threadIdx.x ^ 1];
  out[threadIdx.x] = other + (kClean ? 0 : __shfl_sync(0xFFFFFFFFu, 0, 0));
}

template <bool kClean>
std::vector<int> run() {
  DeviceArray<int> out(64);
  POSETAPE_LAUNCH(exchange<kClean>, 1, 64, 0, nullptr, out.data());
  return out.values();
}

}  // namespace

TEST_CASE("lanes exchange values with __syncwarp") {
  reset();
  const auto out = same_under_all_schedules([] { return run<true>(); });
  for (int i = 0; i < 64; ++i) CHECK(out[i] == (i ^ 1));
}

TEST_CASE("lanes exchange values without __syncwarp") {
  if (!kTsan) {
    reset();
    CHECK(contains(finding([] { same_under_all_schedules([] { return run<false>(); }); }),
                   "ascending and descending differ first in element 0"));
    return;
  }
  if (const auto child = in_child()) {
    CAPTURE(child->output);
    CHECK(contains(child->output, "WARNING: ThreadSanitizer: data race"));
    CHECK(contains(child->output, "warp_exchange.cpp:" + std::to_string(kLine + 4)));
    CHECK(contains(child->output, "warp_exchange.cpp:" + std::to_string(kLine + 6)));
    CHECK(child->exit_code == 66);
    return;
  }
  run<false>();
}
