// Products by cuBLASLt, or in the emulation by its stand-in.
#include "kernels/cuda/gemm.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/cuda/runtime.hpp"
#include "tests/cuda/device_array.hpp"

using namespace posetape;
using namespace posetape::test;

namespace {

// Small whole numbers: products and sums are exact in every type.
template <class T>
std::vector<T> numbers(Index count, int seed) {
  std::vector<T> all;
  for (Index i = 0; i < count; ++i) {
    all.push_back(T(static_cast<Accumulator<T>>((i * 7 + seed) % 5 - 2)));
  }
  return all;
}

struct Problem {
  Index m, n, k;
  bool transpose_a = false;
  bool transpose_b = false;
  Index batch = 1;
  bool shared_b = false;
  Into into = Into::write;
  bool bias = false;
  bool sums = false;
  Index offset = 0;  // of all matrices, in elements
};

template <class T>
void check(const Problem& p) {
  CAPTURE(p.m);
  CAPTURE(p.n);
  CAPTURE(p.k);
  const Index a_size = p.m * p.k;
  const Index b_size = p.k * p.n;
  const Index c_size = p.m * p.n;
  const auto a = numbers<T>(p.batch * a_size + p.offset, 1);
  const auto b = numbers<T>((p.shared_b ? 1 : p.batch) * b_size + p.offset, 2);
  const auto c = numbers<T>(p.batch * c_size + p.offset, 3);
  const auto bias = numbers<T>(p.n + p.offset, 4);
  const DeviceArray<T> da(a), db(b), dbias(bias);
  const DeviceArray<T> dsums(std::vector<T>(static_cast<std::size_t>(p.m)));
  DeviceArray<T> dc(c);
  const bool added = cuda::gemm<T>(
      {p.m,
       p.n,
       p.k,
       {da.data() + p.offset, p.transpose_a ? p.m : p.k, p.transpose_a, a_size},
       {db.data() + p.offset, p.transpose_b ? p.k : p.n, p.transpose_b, p.shared_b ? 0 : b_size},
       {dc.data() + p.offset, p.into},
       p.batch,
       p.bias ? dbias.data() + p.offset : nullptr,
       p.sums ? dsums.data() : nullptr});
  CHECK_FALSE((added && !p.bias && !p.sums));
  const std::vector<T> got = dc.values();
  int wrong = 0;
  for (Index s = 0; s < p.batch; ++s) {
    const T* as = a.data() + p.offset + s * a_size;
    const T* bs = b.data() + p.offset + (p.shared_b ? 0 : s * b_size);
    for (Index i = 0; i < p.m; ++i) {
      for (Index j = 0; j < p.n; ++j) {
        const auto at = static_cast<std::size_t>(p.offset + s * c_size + i * p.n + j);
        auto sum = p.into == Into::add ? load(c[at]) : 0;
        for (Index k = 0; k < p.k; ++k) {
          sum += load(as[p.transpose_a ? k * p.m + i : i * p.k + k]) *
                 load(bs[p.transpose_b ? j * p.k + k : k * p.n + j]);
        }
        if (added && p.bias) sum += load(bias[static_cast<std::size_t>(p.offset + j)]);
        wrong += load(got[at]) != sum;
      }
    }
  }
  const std::vector<T> sums = dsums.values();
  for (Index i = 0; i < p.m && p.sums && added; ++i) {
    Accumulator<T> sum = 0;
    for (Index k = 0; k < p.k; ++k) {
      sum +=
          load(a[static_cast<std::size_t>(p.offset + (p.transpose_a ? k * p.m + i : i * p.k + k))]);
    }
    wrong += load(sums[static_cast<std::size_t>(i)]) != sum;
  }
  CHECK(wrong == 0);
}

template <class T>
void check_all() {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const Into into : {Into::write, Into::add}) {
        for (const Index m : {1, 3, 17}) {
          check<T>({m, 5, 9, ta, tb, 1, false, into});
          check<T>({m, 8, 16, ta, tb, 3, false, into});
        }
      }
    }
  }
  check<T>({4, 6, 8, false, true, 5, true});
  for (const Index offset : {0, 1, 2, 3, 8}) {  // alignments
    check<T>({8, 16, 24, false, true, 1, false, Into::write, true, false, offset});
  }
  for (const bool ta : {false, true}) {
    check<T>({9, 6, 40, ta, false, 1, false, Into::add, false, true});
  }
  check<T>({2, 3, 0});
  check<T>({2, 3, 0, false, false, 2, false, Into::add});
  check<T>({2, 3, 0, false, false, 1, false, Into::write, true});
  check<T>({2, 3, 0, true, false, 1, false, Into::write, false, true});
  check<T>({0, 3, 2});
  check<T>({3, 0, 2});
}

}  // namespace

TEST_CASE("cuda: products of all layouts") {
  cuda::open();
  check_all<double>();
  check_all<float>();
  check_all<bf16>();
}

// 1 + 2^-8 needs more digits than bf16 has, and TF32 has no 1 + 2^-12.
TEST_CASE("cuda: products keep the digits of their type") {
  cuda::open();
  const DeviceArray<bf16> ones(std::vector<bf16>(257, bf16(1)));
  std::vector<bf16> small(257, bf16(0x1p-8f));
  small[0] = bf16(1);
  const DeviceArray<bf16> b(small);
  DeviceArray<bf16> c(std::vector<bf16>(1));
  cuda::gemm<bf16>({1, 1, 257, {ones.data(), 257}, {b.data(), 1}, {c.data(), Into::write}});
  CHECK(float(c.values()[0]) == 2);

  const DeviceArray<float> x(std::vector<float>{1 + 0x1p-12f});
  DeviceArray<float> y(std::vector<float>(1));
  cuda::gemm<float>({1, 1, 1, {x.data(), 1}, {x.data(), 1}, {y.data(), Into::write}});
  CHECK(y.values()[0] == (1 + 0x1p-12f) * (1 + 0x1p-12f));
}
