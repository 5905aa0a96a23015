// Bugs that the gradient checks of other libraries let pass, and everyday ones, planted here and
// found.
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

using Outputs = std::vector<Tensor>;
using Inputs = std::span<const Tensor>;

// What the report says, oracle by oracle, of the first input.
Verdict verdict(const GradcheckReport& report, Oracle oracle) {
  for (const Finding& f : report.findings) {
    if (f.oracle == oracle && f.input == 0) return f.verdict;
  }
  return Verdict::skipped;
}

// `wrong(gradient)` is planted in the gradient of an op's input.
GradcheckOptions planting(Op op, int input, std::function<void(const Tensor&)> wrong) {
  GradcheckOptions options;
  options.intercept = [=](const Node& node, int i, const Tensor& gradient, Into&) {
    if (node.op == op && i == input) wrong(gradient);
  };
  return options;
}

void check_found(const TensorFunction& f, Inputs inputs, const GradcheckOptions& options) {
  const GradcheckReport sound = gradcheck(f, inputs);
  CHECK_MESSAGE(sound.passed(), sound.failures());
  const GradcheckReport report = gradcheck(f, inputs, options);
  CHECK(verdict(report, Oracle::differences) == Verdict::disagree);
  CHECK(verdict(report, Oracle::adjoint) == Verdict::disagree);
  CHECK(verdict(report, Oracle::complex_step) == Verdict::disagree);
}

}  // namespace

// The loss sum(softmax(x)) is constant, so a gradient of zero is right for it and nothing was
// tested (ggml's test-backend-ops; pytorch#63541).
TEST_CASE("a zero gradient behind a sum of softmax") {
  const std::vector<Tensor> x{random_normal({3, 5}, 1)};
  const auto zero = planting(Op::softmax, 0, [](const Tensor& g) { fill(g, 0); });
  SUBCASE("is found, because every output has a random cotangent") {
    check_found([](Inputs in) { return Outputs{softmax(in[0])}; }, x, zero);
  }
  SUBCASE("does not pass where the function itself is that sum: nothing was tested") {
    const GradcheckReport report =
        gradcheck([](Inputs in) { return Outputs{sum(softmax(in[0]))}; }, x, zero);
    for (const Oracle oracle : {Oracle::differences, Oracle::adjoint, Oracle::complex_step}) {
      CHECK(verdict(report, oracle) == Verdict::vacuous);
    }
    CHECK_FALSE(report.passed());
  }
}

TEST_CASE("a reduction over a broadcast axis that was left out") {
  // The gradient of a bias that is the last row's cotangent alone.
  const std::vector<Tensor> inputs{random_normal({4}, 1), random_normal({3, 4}, 2)};
  Tensor cotangent;
  GradcheckOptions options = planting(Op::mul, 0, [&](const Tensor& g) {
    for (Index i = 0; i < 4; ++i) {
      g.data<double>()[i] = inputs[1].data<double>()[8 + i] * cotangent.data<double>()[8 + i];
    }
  });
  cotangent = random_normal({3, 4}, options.seed * 1000);
  check_found([](Inputs in) { return Outputs{mul(in[0], in[1])}; }, inputs, options);
}

// A rule that writes where it was told to add is right for every input that is used once
// (mlx#2340).
TEST_CASE("an Add that is ignored") {
  const std::vector<Tensor> x{random_normal({3, 4}, 1), random_normal({4}, 2),
                              random_normal({4}, 3)};
  GradcheckOptions options;
  options.intercept = [](const Node& node, int, const Tensor&, Into& into) {
    if (node.op == Op::layer_norm) into = Into::write;
  };
  const TensorFunction once = [](Inputs in) { return Outputs{layer_norm(in[0], in[1], in[2]).y}; };
  CHECK(gradcheck(once, x, options, Oracle::adjoint).passed());
  check_found(used_twice(once), x, options);
  // Every function is tried so.
  const GradcheckReport report = gradcheck(once, x, options);
  CHECK(verdict(report, Oracle::added) == Verdict::disagree);
  CHECK(verdict(report, Oracle::twice) == Verdict::disagree);
}

// A term of the layer norm's gradient subtracted twice, which a tolerance of 0.5 let pass
// (tt-metal#53215).
TEST_CASE("a double subtraction behind a loose tolerance") {
  const std::vector<Tensor> inputs{random_normal({3, 64}, 1), random_uniform({64}, 2, 0.9, 1.1),
                                   random_normal({64}, 3)};
  const TensorFunction f = [](Inputs in) { return Outputs{layer_norm(in[0], in[1], in[2]).y}; };
  // dx = rstd (g - mean(g) - n mean(g n)) with g = gamma dy: rstd mean(g) once more.
  GradcheckOptions options;
  options.intercept = [&](const Node& node, int input, const Tensor& gradient, Into&) {
    if (input != 0) return;
    const Tensor cotangent = random_normal({3, 64}, options.seed * 1000);
    for (Index r = 0; r < 3; ++r) {
      double mean = 0;
      for (Index i = 0; i < 64; ++i) {
        mean += cotangent.data<double>()[r * 64 + i] * inputs[1].data<double>()[i] / 64;
      }
      const double rstd = node.saved[3].data<double>()[r];
      for (Index i = 0; i < 64; ++i) gradient.data<double>()[r * 64 + i] -= rstd * mean;
    }
  };
  check_found(f, inputs, options);
  GradcheckOptions loose = options;
  loose.tolerance = loose.exact_tolerance = 0.5;
  CHECK(gradcheck(f, inputs, loose, Oracle::adjoint).passed());  // this is how it was missed
}

// An activation's memory given to something else before its gradient was taken (ggml#1501).
TEST_CASE("a slot that is reused too early") {
  const TensorFunction reused = [](Inputs in) {
    const Tensor hidden = tanh(in[0]);
    const Tensor y = mul(hidden, hidden);
    // Another tensor's values arrive in hidden's memory, which mul's rule still needs.
    // (By a bare pointer: a write of the engine's own would be noticed.)
    if (recording({in[0]})) std::ranges::fill(hidden.values<double>(), 0.25);
    return Outputs{y};
  };
  const std::vector<Tensor> x{random_normal({7}, 1)};
  const GradcheckReport report = gradcheck(reused, x);
  CHECK(verdict(report, Oracle::differences) == Verdict::disagree);
  CHECK(verdict(report, Oracle::adjoint) == Verdict::disagree);
}

TEST_CASE("memory that was never written") {
  Arena::cpu().set_poison(true);
  const GradcheckReport report = gradcheck(
      [](Inputs in) {
        const Tensor noise = Tensor::empty(in[0].shape(), in[0].dtype());
        return Outputs{add(in[0], noise)};
      },
      std::vector{random_normal({5}, 1)});
  Arena::cpu().set_poison(false);
  CHECK_FALSE(report.passed());
}
