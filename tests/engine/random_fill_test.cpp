#include "engine/random_fill.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/parallel.hpp"

using namespace posetape;

namespace {

Tensor drawn(const Shape& shape, DType dtype, std::uint64_t step = 7) {
  const Tensor t = Tensor::empty(shape, dtype);
  fill_normal(t, 42, Stream::test, step);
  return t;
}

}  // namespace

TEST_CASE("fill_normal: element e is the e-th normal of the stream, whatever the shape") {
  for (const Index size : {0, 1, 2, 3, 4, 5, 4096, 10007}) {
    const Tensor t = drawn({size}, DType::f64);
    Random random(42, Stream::test, 7);
    bool equal = true;
    for (const double x : t.values<double>()) equal &= x == random.normal();
    CHECK(equal);
  }
  const Tensor flat = drawn({24}, DType::f64);
  CHECK(drawn({2, 3, 4}, DType::f64).to_doubles() == flat.to_doubles());
}

TEST_CASE("fill_normal: nothing is written beyond the end") {
  const Tensor room = Tensor::full({16}, -99, DType::f32);
  fill_normal(room.alias({5}, 3), 42, Stream::test, 7);
  const std::vector<double> values = room.to_doubles();
  for (const int i : {0, 1, 2, 8, 9, 10, 11, 15}) CHECK(values[static_cast<std::size_t>(i)] == -99);
  CHECK(values[7] != -99);
}

TEST_CASE("fill_normal: all types hold the same numbers, rounded once") {
  const Tensor f64 = drawn({1001}, DType::f64);
  const Tensor f32 = drawn({1001}, DType::f32);
  const Tensor half = drawn({1001}, DType::bf16);
  bool equal = true;
  for (std::size_t i = 0; i < 1001; ++i) {
    const auto rounded = static_cast<float>(f64.values<double>()[i]);
    equal &= f32.values<float>()[i] == rounded;
    equal &= half.values<bf16>()[i].bits == bf16(rounded).bits;
  }
  CHECK(equal);
}

TEST_CASE("fill_normal: bit-equal for any thread count") {
  const int before = threads();
  set_threads(1);
  const auto one = drawn({12345}, DType::f32).to_doubles();
  set_threads(5);
  const auto five = drawn({12345}, DType::f32).to_doubles();
  set_threads(before);
  CHECK(one == five);
}

TEST_CASE("fill_normal: standard normal, and no step repeats another") {
  const Index size = 400000;
  const auto values = drawn({size}, DType::f64).to_doubles();
  double sum[5] = {};
  double within_one = 0;
  for (const double x : values) {
    for (int p = 1; p <= 4; ++p) sum[p] += std::pow(x, p);
    within_one += std::abs(x) < 1 ? 1 : 0;
  }
  // Moments 0, 1, 0, 3 with variances 1, 2, 15, 96 over the size; bounds at five standard errors.
  const double root = std::sqrt(static_cast<double>(size));
  CHECK(std::abs(sum[1] / size) < 5 / root);
  CHECK(std::abs(sum[2] / size - 1) < 5 * std::sqrt(2.0) / root);
  CHECK(std::abs(sum[3] / size) < 5 * std::sqrt(15.0) / root);
  CHECK(std::abs(sum[4] / size - 3) < 5 * std::sqrt(96.0) / root);
  CHECK(std::abs(within_one / size - 0.6826894921370859) < 5 * 0.4654 / root);

  const auto other = drawn({size}, DType::f64, 8).to_doubles();
  double product = 0;
  for (std::size_t i = 0; i < values.size(); ++i) product += values[i] * other[i];
  CHECK(std::abs(product / size) < 5 / root);
}

TEST_CASE("fill_normal: integers are refused") {
  CHECK_THROWS_AS(drawn({4}, DType::i32), Error);
}
