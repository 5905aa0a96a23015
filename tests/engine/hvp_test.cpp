#include "engine/hvp.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/add_op.hpp"
#include "engine/dispatch.hpp"
#include "engine/gradcheck.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/second_order.hpp"

using namespace posetape;

namespace {

using Outputs = std::vector<Tensor>;
using Inputs = std::span<const Tensor>;

double at(const Tensor& x, Index i) {
  return x.data<double>()[i];
}

Verdict verdict(const std::vector<Finding>& findings, Oracle oracle) {
  const auto found = std::ranges::find(findings, oracle, &Finding::oracle);
  REQUIRE(found != findings.end());
  return found->verdict;
}

// y = x^3, whose backward rule takes 3 x^2 as a constant: right, and its own derivative is not.
void cubes_backward(const Node& node, Backward& backward) {
  dispatch(node.saved[0], [&]<class T>(auto) {
    const auto gradient = backward.gradient<T>(0);
    for (Index i = 0; i < node.saved[0].size(); ++i) {
      Accumulator<T> x = load(node.saved[0].data<T>()[i]);
      if constexpr (requires { x.slope; }) x.slope = 0;
      gradient.put(i, load(backward.cotangent().data<T>()[i]) * Accumulator<T>(3) * x * x);
    }
  });
}
const Rule kCubesRule{cubes_backward, [](const Node&) { return 1.0; }};
const Op kCubes = add_op("cubes_to_first_order", kCubesRule);

Tensor cubes(const Tensor& x) {
  const Tensor y = mul(x, mul(x, x));
  const Tensor out = Tensor::empty(x.shape(), x.dtype());
  {
    const NoRecording off;
    copy(y, out);
  }
  record(kCubes, {x}, {out}, {x});
  return out;
}

struct Layers {
  Layers(ParameterList& list, int)
      : w(list.add("w", {3, 2}, {Init::uniform, 0.5})),
        b(list.add("b", {3}, {Init::uniform, 0.5})) {}
  Tensor operator()(const Tensor& x) const { return linear(x, w, b, Activation::gelu); }
  Tensor w, b;
};

}  // namespace

TEST_CASE("a Hessian times a vector, by formulas") {
  const std::vector<Tensor> x{random_normal({4}, 1), random_normal({4}, 2)};
  const std::vector<Tensor> v{random_normal({4}, 3), random_normal({4}, 4)};
  // f = sum x^2 y: H (v, w) = (2 y v + 2 x w, 2 x v).
  const TensorFunction f = [](Inputs in) { return Outputs{sum(mul(mul(in[0], in[0]), in[1]))}; };
  const Outputs product = hvp(f, x, v);
  REQUIRE(product.size() == 2);
  for (Index i = 0; i < 4; ++i) {
    CHECK(at(product[0], i) ==
          doctest::Approx(2 * at(x[1], i) * at(v[0], i) + 2 * at(x[0], i) * at(v[1], i)));
    CHECK(at(product[1], i) == doctest::Approx(2 * at(x[0], i) * at(v[0], i)));
  }
  const Outputs first_alone = hvp(f, x, std::vector{v[0], Tensor()});
  for (Index i = 0; i < 4; ++i) {
    CHECK(at(first_alone[0], i) == doctest::Approx(2 * at(x[1], i) * at(v[0], i)));
  }
}

TEST_CASE("a network's Hessian is that of the same function of its parameters") {
  const Module<Layers> net(0, DType::dual, 5);
  const ParameterList& parameters = net;
  const Tensor x = random_normal({4, 2}, 1);
  const auto in_dual = [](const Tensor& t) {
    return Tensor::of(t.shape(), t.values<double>(), DType::dual);
  };
  const Tensor x_dual = in_dual(x);
  const Tensor direction = random_normal(parameters.values().shape(), 2);
  const auto loss = [](const Tensor& y) { return sum(mul(y, y)); };
  const auto run = [&] {
    return network_hvp(
        parameters, [&] { return loss(net(x_dual)); }, direction);
  };
  const Tensor product = run();

  Outputs values, directions;
  for (const ParameterList::Entry& e : parameters.entries()) {
    values.push_back(Tensor::empty(e.value.shape(), DType::f64));
    directions.push_back(Tensor::empty(e.value.shape(), DType::f64));
    for (Index i = 0; i < e.value.size(); ++i) {
      values.back().data<double>()[i] = e.value.data<Dual>()[i].value;
      directions.back().data<double>()[i] = at(direction, e.begin + i);
      CHECK(e.value.data<Dual>()[i].slope == 0);
    }
  }
  values.push_back(x);
  directions.emplace_back();
  const Outputs expected =
      hvp([&](Inputs in) { return Outputs{loss(linear(in[2], in[0], in[1], Activation::gelu))}; },
          values, directions);
  for (std::size_t p = 0; p < parameters.entries().size(); ++p) {
    const ParameterList::Entry& e = parameters.entries()[p];
    for (Index i = 0; i < e.value.size(); ++i) {
      CHECK(at(product, e.begin + i) == doctest::Approx(at(expected[p], i)).epsilon(1e-13));
    }
  }
  CHECK(same_bytes(run(), product));  // nothing was left behind
}

TEST_CASE("what has no Hessian is refused, with advice") {
  const std::vector<Tensor> x{random_normal({3}, 1)};
  CHECK_THROWS_WITH_AS(
      hvp([](Inputs in) { return Outputs{exp(in[0])}; }, x, x),
      "hvp: the function returned a tensor [3]; expected one tensor of one element", Error);
  CHECK_THROWS_WITH_AS(hvp([](Inputs) { return Outputs{}; }, x, x),
                       "hvp: the function returned 0 tensors; expected one tensor of one element",
                       Error);
  const Module<Layers> net(0, DType::f32, 5);
  CHECK_THROWS_WITH_AS(network_hvp(
                           net,
                           [&] {
                             return sum(net(Tensor::zeros({1, 2}, DType::f32)));
                           },
                           x[0]),
                       "network_hvp: the parameters are f32; make the network in DType::dual, and "
                       "load() its weights",
                       Error);
  const Module<Layers> dual(0, DType::dual, 5);
  CHECK_THROWS_AS(network_hvp(
                      dual,
                      [&] {
                        return sum(dual(Tensor::zeros({1, 2}, DType::dual)));
                      },
                      x[0]),
                  Error);
}

TEST_CASE("a rule whose own derivative is wrong is found by second derivatives alone") {
  const std::vector<Tensor> x{random_normal({5}, 1, 1, 2)};
  const TensorFunction f = [](Inputs in) { return Outputs{cubes(in[0])}; };
  for (const Oracle oracle : {Oracle::differences, Oracle::adjoint}) {
    CHECK(verdict(gradcheck(f, x, {}, oracle).findings, oracle) == Verdict::agree);
  }
  const auto findings = check_second_order(f, x, {});
  CHECK(verdict(findings, Oracle::second_differences) == Verdict::disagree);
  CHECK_FALSE(gradcheck(f, x).passed());
}

TEST_CASE("a linear function is told apart, a kink is none of it") {
  const std::vector<Tensor> x{random_normal({5}, 1)};
  const auto linear =
      check_second_order([](Inputs in) { return Outputs{scale(in[0], 3.0)}; }, x, {});
  for (const Finding& f : linear) {
    CHECK(f.verdict == Verdict::skipped);
    CHECK(f.passed);
    CHECK(f.note == "the second derivative is zero, by both: linear in this input");
  }
  const std::vector<Tensor> at_kink{Tensor::zeros({3}, DType::f64)};
  const auto kink = check_second_order(
      [](Inputs in) { return Outputs{mul(relu(in[0]), relu(in[0]))}; }, at_kink, {});
  for (const Finding& f : kink) CHECK(f.verdict != Verdict::disagree);
}
