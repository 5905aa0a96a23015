// Which elements are dropped, and what that depends on.
#include "engine/ops/dropout.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/tape.hpp"
#include "kernels/base/parallel.hpp"

using namespace posetape;

namespace {

using Doubles = std::vector<double>;

Doubles kept(Index size, double rate, std::uint64_t seed, Stream stream, std::uint64_t step) {
  return dropout(Tensor::full({size}, 1, DType::f32), rate, seed, stream, step).to_doubles();
}

}  // namespace

TEST_CASE("the share that is dropped is the rate, and the mean stays") {
  constexpr Index kSize = 200'000;
  for (const double rate : {0.1, 0.5, 0.9}) {
    double dropped = 0, sum = 0;
    for (const double y : kept(kSize, rate, 1, Stream::dropout, 0)) {
      dropped += y == 0;
      sum += y;
    }
    // Four standard deviations.
    CHECK(std::abs(dropped / kSize - rate) < 4 * std::sqrt(rate * (1 - rate) / kSize));
    CHECK(std::abs(sum / kSize - 1) < 4 * std::sqrt(rate / (1 - rate) / kSize));
  }
}

TEST_CASE("seed, stream and step each draw anew; shape, type and threads do not") {
  const Doubles first = kept(1000, 0.5, 1, Stream::dropout, 0);
  CHECK(kept(1000, 0.5, 1, Stream::dropout, 0) == first);
  CHECK(kept(1000, 0.5, 2, Stream::dropout, 0) != first);
  CHECK(kept(1000, 0.5, 1, Stream::test, 0) != first);
  CHECK(kept(1000, 0.5, 1, Stream::dropout, 1) != first);
  for (const DType dtype : {DType::f64, DType::bf16}) {
    const Tensor x = Tensor::full({10, 4, 25}, 1, dtype);
    CHECK(dropout(x, 0.5, 1, Stream::dropout).to_doubles() == first);
  }
  // More of them begin with the same ones.
  const int before = threads();
  set_threads(3);
  const Doubles more = kept(100'000, 0.5, 1, Stream::dropout, 0);
  set_threads(before);
  CHECK(Doubles(more.begin(), more.begin() + 1000) == first);
}

TEST_CASE("the gradient is dropped where the value is, and nothing but the key is kept for it") {
  const Tensor x = Tensor::full({1000}, 1, DType::f32);
  Tape tape;
  tape.watch(x);
  Tensor y;
  {
    const Recording on(tape);
    y = dropout(x, 0.3, 5, Stream::dropout, 9);
  }
  REQUIRE(tape.nodes().size() == 1);
  CHECK(tape.nodes()[0].saved.empty());
  Tape::Options options;
  options.cotangent = Tensor::full({1000}, 1, DType::f32);
  CHECK(same_bytes(tape.backward(y, options).of(x), y));
}

TEST_CASE("rates that leave nothing, and steps that are none, are refused with the reason") {
  const Tensor x = Tensor::full({2}, 1, DType::f32);
  CHECK_THROWS_WITH_AS(dropout(x, 1, 1, Stream::dropout),
                       "dropout: the rate is 1; it must be in [0, 1)", Error);
  CHECK_THROWS_WITH_AS(dropout(x, 0.5, 1, Stream::dropout, x),
                       "dropout: the step must be one element of f64", Error);
}
