#include "engine/jvp.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"

using namespace posetape;

namespace {

using Outputs = std::vector<Tensor>;
using Inputs = std::span<const Tensor>;

}  // namespace

TEST_CASE("derivatives along a direction, by both kinds of number, to the last digits") {
  const std::vector<Tensor> x{Tensor::of<double>({3}, std::vector<double>{0.5, 1.0, 2.0})};
  const std::vector<Tensor> direction{Tensor::of<double>({3}, std::vector<double>{1.0, -2.0, 0.5})};
  struct Known {
    Tensor (*f)(const Tensor&);
    double (*slope)(double);
  };
  const Known all[] = {
      {posetape::exp, [](double v) { return std::exp(v); }},
      {posetape::log, [](double v) { return 1 / v; }},
      {posetape::sqrt, [](double v) { return 0.5 / std::sqrt(v); }},
      {posetape::tanh, [](double v) { return 1 / (std::cosh(v) * std::cosh(v)); }},
      {relu, [](double) { return 1.0; }},
  };
  for (const Known& known : all) {
    const TensorFunction f = [&](Inputs in) { return Outputs{known.f(in[0])}; };
    for (const auto& derivative : {jvp(f, x, direction), complex_step(f, x, direction)}) {
      REQUIRE(derivative.size() == 1);
      for (Index i = 0; i < 3; ++i) {
        const double expected =
            known.slope(x[0].data<double>()[i]) * direction[0].data<double>()[i];
        CHECK(derivative[0].data<double>()[i] == doctest::Approx(expected).epsilon(1e-14));
      }
    }
  }
}

TEST_CASE("inputs without a tangent are constants, and roundings have no derivative") {
  const std::vector<Tensor> inputs{random_normal({2, 3}, 1), random_normal({2, 3}, 2)};
  const std::vector<Tensor> tangents{Tensor(), random_normal({2, 3}, 3)};
  const TensorFunction f = [](Inputs in) {
    return Outputs{mul(in[0], in[1]), Tensor(), cast(cast(in[1], DType::bf16), DType::f64)};
  };
  const Outputs d = jvp(f, inputs, tangents);
  REQUIRE(d.size() == 3);
  CHECK_FALSE(d[1].defined());
  for (Index i = 0; i < 6; ++i) {
    CHECK(d[0].data<double>()[i] == inputs[0].data<double>()[i] * tangents[1].data<double>()[i]);
    CHECK(d[2].data<double>()[i] == tangents[1].data<double>()[i]);
  }
}

TEST_CASE("a backward pass on dual numbers is a second derivative") {
  // f = sum x^3: H u = 6 x u.
  Tape tape;
  const Tensor x = Tensor::empty({4}, DType::dual);
  for (Index i = 0; i < 4; ++i) x.data<Dual>()[i] = Dual(0.5 + static_cast<double>(i), 2.0);
  tape.watch(x);
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(mul(x, mul(x, x)));
  }
  const Tensor g = tape.backward(loss).of(x);
  for (Index i = 0; i < 4; ++i) {
    const double v = x.data<Dual>()[i].value;
    CHECK(g.data<Dual>()[i].value == doctest::Approx(3 * v * v));
    CHECK(g.data<Dual>()[i].slope == doctest::Approx(12 * v));
  }
}

TEST_CASE("what does not fit is refused") {
  const std::vector<Tensor> x{random_normal({3}, 1)};
  const std::vector<Tensor> wrong{random_normal({4}, 1)};
  const TensorFunction f = [](Inputs in) { return Outputs{exp(in[0])}; };
  CHECK_THROWS_WITH_AS(jvp(f, x, wrong), doctest::Contains("tangent 0 is [4], its input [3]"),
                       Error);
  // A constant that the function brought along has no derivative to give.
  const Tensor captured = random_normal({3}, 2);
  const TensorFunction g = [&](Inputs in) { return Outputs{mul(in[0], captured)}; };
  CHECK_THROWS_AS(jvp(g, x, x), Error);
}
