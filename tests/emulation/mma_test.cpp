// Products on tensor cores: the documented places of all numbers, and what is refused.
#include "kernels/emulation/architecture.hpp"
#include "tests/emulation/support.hpp"

using namespace posetape;
using namespace posetape::emulation;
using namespace posetape::test;

namespace {

constexpr int kRows = 16, kColumns = 8, kInner = 16;

// d += a b, all row by row. The indices are those of the PTX ISA's figures.
__global__ void multiply(const bf16* a, const bf16* b, float* d) {
  const int lane = static_cast<int>(threadIdx.x);
  const int group = lane >> 2, in_group = lane % 4;
  bf16 a_of[8], b_of[4];
  float d_of[4];
  const auto d_at = [&](int i) {
    const int row = i < 2 ? group : group + 8;
    return d + row * kColumns + in_group * 2 + (i & 1);
  };
  for (int i = 0; i < 8; ++i) {
    const int row = (i >= 0 && i < 2) || (i >= 4 && i < 6) ? group : group + 8;
    const int column = i < 4 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8;
    a_of[i] = a[row * kInner + column];
  }
  for (int i = 0; i < 4; ++i) {
    const int row = i < 2 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8;
    b_of[i] = b[row * kColumns + group];
  }
  for (int i = 0; i < 4; ++i) d_of[i] = *d_at(i);
  mma(d_of, {{a_of[0], a_of[1]}, {a_of[2], a_of[3]}, {a_of[4], a_of[5]}, {a_of[6], a_of[7]}},
      {{b_of[0], b_of[1]}, {b_of[2], b_of[3]}});
  for (int i = 0; i < 4; ++i) *d_at(i) = d_of[i];
}

__global__ void in_a_branch(float*) {
  float d[4] = {};
  if (threadIdx.x < 31) mma(d, {}, {});
}

__global__ void at_two_places(float*) {
  float d[4] = {};
  if (threadIdx.x % 2 == 0) {
    mma(d, {}, {});
  } else {
    mma(d, {}, {});
  }
}

__global__ void by_all(float* out) {
  float d[4] = {1, 2, 3, 4};
  mma(d, {}, {});
  if (out != nullptr) out[threadIdx.x] = d[0];
}

std::vector<bf16> small_numbers(int count, int seed) {
  std::vector<bf16> x;
  for (int i = 0; i < count; ++i) x.emplace_back(static_cast<float>((i * i + seed * i) % 13 - 6));
  return x;
}

std::string run(void (*kernel)(float*), int threads) {
  reset();
  DeviceArray<float> out(64);
  return finding([&] { POSETAPE_LAUNCH(kernel, 1, threads, 0, nullptr, out.data()); });
}

}  // namespace

TEST_CASE("a product on tensor cores") {
  reset();
  const std::vector<bf16> a = small_numbers(kRows * kInner, 5);
  const std::vector<bf16> b = small_numbers(kInner * kColumns, 8);
  std::vector<float> d(kRows * kColumns), expected(kRows * kColumns);
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < kColumns; ++column) {
      const int at = row * kColumns + column;
      d[at] = static_cast<float>(at) / 4;
      expected[at] = d[at];
      for (int k = 0; k < kInner; ++k) {
        expected[at] +=
            static_cast<float>(a[row * kInner + k]) * static_cast<float>(b[k * kColumns + column]);
      }
    }
  }
  DeviceArray<bf16> da(a), db(b);
  const auto result = same_under_all_schedules([&] {
    DeviceArray<float> dd(d);
    POSETAPE_LAUNCH(multiply, 1, 32, 0, nullptr, da.data(), db.data(), dd.data());
    return dd.values();
  });
  CHECK(result == expected);
}

TEST_CASE("a product on tensor cores wants the whole warp at one place") {
  CHECK(run(by_all, 64) == "");
  const std::string exited = run(in_a_branch, 32);
  CAPTURE(exited);
  CHECK(contains(exited, "exited lane: "));
  CHECK(contains(exited, "lanes 0-30: in mma(0xffffffff), "));
  const std::string apart = run(at_two_places, 32);
  CAPTURE(apart);
  CHECK(contains(apart, "wrong mask: thread "));
  CHECK(contains(apart, "mma_test.cpp:"));
  CHECK(contains(run(by_all, 16), "names lanes that the block does not have"));
}

TEST_CASE("a product on tensor cores wants sm_80") {
  set_architecture(75);
  CHECK(contains(run(by_all, 32), "mma: this GPU has no tensor cores for bf16"));
  set_architecture(80);
  CHECK(run(by_all, 32) == "");
}
