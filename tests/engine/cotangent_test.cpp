// What a backward pass may be started with.
#include <doctest/doctest.h>

#include "engine/ops/elementwise.hpp"
#include "engine/tape.hpp"

using namespace posetape;

TEST_CASE("a cotangent has its loss's shape and its type") {
  const Tensor x = Tensor::full({2, 3}, 2.0, DType::f32);
  Tape tape;
  tape.watch(x);
  Tensor y;
  {
    const Recording on(tape);
    y = mul(x, x);
  }
  const auto from = [&](const Tensor& cotangent) {
    Tape::Options options;
    options.cotangent = cotangent;
    return tape.backward(y, options).of(x).to_doubles();
  };
  CHECK(from(Tensor::full({2, 3}, 1.0, DType::f32)) == std::vector<double>(6, 4.0));
  CHECK_THROWS_WITH_AS(from(Tensor::full({2, 3}, 1.0, DType::f64)),
                       doctest::Contains("cotangent is f64 [2, 3], loss f32 [2, 3]"), Error);
  CHECK_THROWS_WITH_AS(from(Tensor::full({3, 2}, 1.0, DType::f32)),
                       doctest::Contains("cotangent is f32 [3, 2], loss f32 [2, 3]"), Error);
}
