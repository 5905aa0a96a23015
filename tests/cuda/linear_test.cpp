// The linear layer's kernels beside their products.
#include "kernels/linear/linear.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "kernels/base/dispatch.hpp"
#include "tests/cuda/device_array.hpp"

using namespace posetape;
using namespace posetape::test;

namespace {

// y of small whole numbers, whose products are exact, with y `offset` elements into its memory.
template <class T>
std::vector<double> forward(Index offset, bool keeps_z, Activation activation) {
  constexpr Index kRows = 3, kIn = 4, kOut = 7;
  const auto numbers = [](Index count) {
    std::vector<T> all;
    for (Index i = 0; i < count; ++i) all.push_back(T(static_cast<Accumulator<T>>(i * 3 % 7 - 3)));
    return all;
  };
  const DeviceArray<T> x(numbers(kRows * kIn)), w(numbers(kOut * kIn)), b(numbers(kOut));
  const DeviceArray<T> z(numbers(kRows * kOut)), y(numbers(kRows * kOut + offset));
  launch(Cuda{}, LinearForward<T>{x.data(), w.data(), b.data(), keeps_z ? z.data() : nullptr,
                                  y.data() + offset, kRows, kIn, kOut, activation});
  const std::vector<T> all = y.values();
  std::vector<double> result;
  for (std::size_t i = static_cast<std::size_t>(offset); i < all.size(); ++i) {
    result.push_back(static_cast<double>(load(all[i])));
  }
  return result;
}

template <class T>
void check_offsets() {
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::silu}) {
    const auto expected = forward<T>(0, false, activation);
    for (const Index offset : {0, 1, 3, 8}) {
      CHECK(forward<T>(offset, false, activation) == expected);
      if (activation == Activation::none) continue;  // z is y
      CHECK(forward<T>(offset, true, activation) == expected);
    }
  }
}

}  // namespace

TEST_CASE("cuda: a linear layer's result does not depend on where it lies") {
  cuda::open();
  check_offsets<double>();
  check_offsets<float>();
  check_offsets<bf16>();
}
