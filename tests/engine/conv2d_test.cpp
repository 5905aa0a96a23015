// conv2d, which is made of other ops, against PyTorch's values of the same numbers
// (conv2d_values.py) and against conv1d.
#include "engine/conv2d.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/conv1d.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "tests/engine/conv2d_values.hpp"
#include "tests/engine/numbers.hpp"

using namespace posetape;

namespace {

struct Call {
  Shape x;
  Shape weight;
  Conv2dOptions options;
  const Doubles* values;  // y, dx, dweight, dbias
};
const std::vector<Call> kCalls{
    {{2, 4, 5, 2}, {3, 3, 2, 2}, {}, &kPlain},
    {{1, 6, 7, 2},
     {2, 3, 3, 2},
     {.stride = {2, 3}, .dilation = {2, 1}, .before = {1, 2}, .after = {1, 2}},
     &kStrides},
    {{2, 3, 4, 4}, {6, 2, 3, 2}, {.before = {0, 1}, .after = {0, 1}, .groups = 2}, &kGroups},
    {{2, 3, 4, 3},
     {3, 3, 3, 1},
     {.stride = {2, 2}, .before = {1, 1}, .after = {1, 1}, .groups = 3},
     &kDepthwise},
    {{1, 3, 3, 2}, {4, 2, 2, 1}, {.groups = 2}, &kTwiceAsDeep},
};

// y and the gradients of sum(y v), one after the other.
Doubles passed(const Call& call, DType dtype) {
  const Tensor x = numbers(call.x, 1, dtype);
  const Tensor weight = numbers(call.weight, 2, dtype);
  const Tensor bias = numbers({call.weight[0]}, 3, dtype);
  Tape tape;
  for (const Tensor& t : {x, weight, bias}) tape.watch(t);
  Tensor y;
  {
    const Recording on(tape);
    y = conv2d(x, weight, bias, call.options);
  }
  Tape::Options options;
  options.cotangent = numbers(y.shape(), 4, dtype);
  const Gradients g = tape.backward(y, options);
  Doubles all = y.to_doubles();
  for (const Tensor& t : {x, weight, bias}) {
    const Doubles part = g.of(t).to_doubles();
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

TEST_CASE("conv2d has PyTorch's values and gradients: strides, dilations, zeros, groups") {
  for (const Call& call : kCalls) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      CAPTURE(call.weight.text());
      const Doubles got = passed(call, dtype);
      REQUIRE(got.size() == call.values->size());
      const double tolerance = dtype == DType::f64 ? 1e-13 : 2e-6;
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        const double expected = (*call.values)[i];
        CHECK(std::abs(got[i] - expected) <= tolerance * (1 + std::abs(expected)));
      }
    }
  }
}

TEST_CASE("conv2d: all gradients agree with the oracles") {
  for (const Call& call : kCalls) {
    CAPTURE(call.weight.text());
    const TensorFunction f = [&](std::span<const Tensor> in) {
      return std::vector{conv2d(in[0], in[1], in[2], call.options)};
    };
    const std::vector inputs{numbers(call.x, 1), numbers(call.weight, 2),
                             numbers({call.weight[0]}, 3)};
    const GradcheckReport report = gradcheck(f, inputs);
    CHECK_MESSAGE(report.passed(), report.failures());
  }
}

TEST_CASE("conv2d of one column is conv1d, and a depthwise one conv1d of each channel") {
  const Tensor x = numbers({2, 9, 3}, 1);
  const Tensor weight = numbers({4, 3, 3}, 2);
  const Tensor time = reshape(x, {2, 9, 1, 3});
  CHECK(same_bytes(conv2d(time, reshape(weight, {4, 3, 1, 3}), {}, {.before = {2, 0}}).alias({72}),
                   conv1d(x, weight, {}, {.before = 2}).alias({72})));
  const Tensor depthwise = numbers({3, 3, 1, 1}, 3);
  const Tensor y = conv2d(time, depthwise, {}, {.groups = 3});
  for (Index c = 0; c < 3; ++c) {
    const Tensor one =
        conv1d(slice(x, 2, c, c + 1), reshape(slice(depthwise, 0, c, c + 1), {1, 3, 1}));
    const Doubles got = slice(y, 3, c, c + 1).to_doubles();
    const Doubles expected = one.to_doubles();
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]));
  }
}

TEST_CASE("conv2d refuses what it can't compute, and says why") {
  const Tensor x = numbers({2, 5, 6, 4}, 1);
  const auto refused = [&](const Shape& w, const Conv2dOptions& o, const char* why) {
    CHECK_THROWS_WITH_AS(conv2d(x, numbers(w, 2), {}, o), doctest::Contains(why), Error);
  };
  const char* shapes = "expected [B, H, W, C] and [O, K, L, C / groups]";
  refused({4, 3, 3, 2}, {}, shapes);
  refused({4, 3, 3}, {}, shapes);
  refused({4, 3, 3, 4}, {.groups = 2}, shapes);
  refused({3, 3, 3, 2}, {.groups = 2}, shapes);
  refused({3, 3, 3, 4}, {.groups = 3}, "x is [2, 5, 6, 4], weight [3, 3, 3, 4], groups 3");
  refused({4, 3, 3, 4}, {.groups = 0}, "groups 0");
  refused({4, 6, 3, 4}, {}, "unfold: patches of 6 by 3 with dilation 1 reach over 6 rows");
  refused({4, 3, 3, 4}, {.dilation = {1, 3}}, "reach over 7 columns, x [2, 5, 6, 4] has 6");
  refused({4, 3, 3, 4}, {.stride = {1, 0}}, "stride 0");
  CHECK_THROWS_WITH_AS(conv2d(x, {}), "conv2d: x or weight is undefined", Error);
}
