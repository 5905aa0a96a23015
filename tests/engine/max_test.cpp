// The largest, the smallest and where they are; numbers between limits; variances.
#include "engine/ops/max.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/tape.hpp"

using namespace posetape;

namespace {

using Doubles = std::vector<double>;

Tensor of(const Shape& shape, const Doubles& values, DType dtype = DType::f64) {
  return Tensor::of(shape, values, dtype);
}

}  // namespace

TEST_CASE("argmax is the place of the first of the largest, along any axis, NaN before numbers") {
  const double nan = std::nan("");
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Tensor x = of({2, 4}, {3, 1, 3, 2, -5, -4, nan, nan}, dtype);
    CHECK(argmax(x).dtype() == DType::i32);
    CHECK(argmax(x).shape() == Shape{2});
    CHECK(argmax(x).to_doubles() == Doubles{0, 2});
    CHECK(argmax(x, -1).to_doubles() == Doubles{0, 2});
    CHECK(argmax(x, 0).to_doubles() == Doubles{0, 0, 1, 1});
  }
  const Tensor y = random_normal({3, 5, 4}, 1);
  const Doubles places = argmax(y, 1).to_doubles();
  const Doubles largest = max(y, {{1}}).to_doubles();
  for (std::size_t i = 0; i < 12; ++i) {
    const std::size_t begin = i / 4 * 20 + i % 4;
    CHECK(largest[i] == y.to_doubles()[begin + 4 * static_cast<std::size_t>(places[i])]);
  }
  CHECK(argmax(scale(y, -1), 1).to_doubles() != places);
}

TEST_CASE(
    "over several axes the first of the largest in row-major order takes all of the gradient") {
  const Tensor x = of({2, 2, 2}, {1, 7, 7, 0, 7, 7, 7, 7});
  Tape tape;
  tape.watch(x);
  Tensor y;
  {
    const Recording on(tape);
    y = max(x);
  }
  CHECK(y.shape() == Shape{});
  CHECK(y.item() == 7);
  CHECK(tape.backward(y).of(x).to_doubles() == Doubles{0, 1, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("min is the smallest, with its own ties and shapes") {
  const Tensor x = of({2, 3}, {4, -1, -1, 2, 8, 3});
  CHECK(min(x).item() == -1);
  CHECK(min(x, {{1}}).to_doubles() == Doubles{-1, 2});
  CHECK(min(x, {{0}, true}).shape() == Shape{1, 3});
  CHECK(min(x, {{0}, true}).to_doubles() == Doubles{2, -1, -1});
}

TEST_CASE("clamp keeps what is between, ends included, gives the limits beyond, and shows NaN") {
  const Tensor x = of({6}, {-2, -1, 0, 0.5, 3, std::nan("")});
  const Doubles y = clamp(x, -1, 0.5).to_doubles();
  CHECK(Doubles(y.begin(), y.begin() + 5) == Doubles{-1, -1, 0, 0.5, 0.5});
  CHECK(std::isnan(y[5]));
  Tape tape;
  tape.watch(x);
  Tensor sum_of;
  {
    const Recording on(tape);
    sum_of = sum(clamp(x, -1, 0.5));
  }
  const Doubles dx = tape.backward(sum_of).of(x).to_doubles();
  CHECK(Doubles(dx.begin(), dx.begin() + 5) == Doubles{0, 1, 1, 1, 0});
  CHECK_THROWS_WITH_AS(clamp(x, 1, -1),
                       "clamp: from 1 to -1; the first must not be above the second", Error);
}

TEST_CASE("var is the mean square about the mean, of all or of some axes") {
  const Tensor x = of({2, 3}, {1, 2, 6, 0, 0, 3});
  CHECK(var(x).item() == doctest::Approx((1 + 0 + 16 + 4 + 4 + 1) / 6.0));
  CHECK(var(x, {{1}}).to_doubles()[0] == doctest::Approx((4 + 1 + 9) / 3.0));
  CHECK(var(x, {{1}}).to_doubles()[1] == doctest::Approx((1 + 1 + 4) / 3.0));
  CHECK(var(x, {{0}, true}).shape() == Shape{1, 3});
}

TEST_CASE("what is refused of reductions names the op and the axes") {
  const Tensor x = of({2, 0}, {});
  CHECK_THROWS_WITH_AS(max(x, {{1}}), doctest::Contains("max: axis 1 of [2, 0]; there must be"),
                       Error);
  CHECK_THROWS_WITH_AS(max(x, {{2}}), doctest::Contains("max: axes [2] of [2, 0]; each must be"),
                       Error);
  CHECK_THROWS_WITH_AS(argmax(x, -3),
                       doctest::Contains("argmax: axis -3 of [2, 0]; it must be below the rank 2"),
                       Error);
  CHECK_THROWS_WITH_AS(sum(x, {{0, 0}}), doctest::Contains("sum: axes [0, 0] of [2, 0]"), Error);
}
