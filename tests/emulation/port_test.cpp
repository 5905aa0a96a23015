#include "tests/emulation/port_kernels.cu"
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

TEST_CASE("a kernel that nvcc compiles, too") {
  reset();
  const int n = 100;
  std::vector<float4> x(n);
  for (int i = 0; i < n; ++i) x[i] = make_float4(static_cast<float>(i), 2, 1, 0.5f);
  DeviceArray<float4> dx(x);
  DeviceArray<bf16x2> pairs(n);
  DeviceArray<float> sums(4);
  const auto result = same_under_all_schedules([&] {
    DeviceArray<int> counts(3);
    CHECK(launch_everything(dx.data(), pairs.data(), sums.data(), counts.data(), n, nullptr) ==
          cudaSuccess);
    return counts.values();
  });
  CHECK(result == std::vector<int>{4, 33, 4});
  // A lane gives 2 i + 1.5 where there is an element.
  CHECK(sums.values() == std::vector<float>{1040, 3088, 5136, 786});
  const auto p = pairs.values();
  for (int i = 0; i < n; ++i) {
    const int source = i % 32 == 31 ? i : i + 1;
    const float2 pair = to_float2(p[i]);
    CHECK(pair.x == (source < n ? static_cast<float>(source) : 0.0f));
    CHECK(pair.y == (source < n ? 2.0f : 0.0f));
  }
}
