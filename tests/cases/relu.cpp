#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

// Of both signs in turn, with |x| in (low, high).
Fill both_sides(double low, double high) {
  return [=](const Shape& shape, std::uint64_t seed) {
    const Tensor x = random_uniform(shape, seed, low, high);
    for (Index i = 1; i < x.size(); i += 2) x.data<double>()[i] *= -1;
    return x;
  };
}

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(relu));
  // Here differences can't tell. The composite is the product with an input of zeros and ones.
  GradcheckOptions at_the_kink = with_composite(elementwise(Binary(mul)), constant_inputs({1}));
  at_the_kink.kink = true;
  at_the_kink.reason = "there is no slope at 0; the one taken is 0";
  // Away from the kink at 0 by more than the largest step of the differences.
  return joined(unary_cases(relu, both_sides(0.5, 2.0)),
                {
                    {"positive", {random_uniform({3, 5}, 1, 0.5, 2.0)}, f},
                    {"negative",
                     {random_uniform({7}, 2, -2.0, -0.5)},
                     f,
                     zero_gradient({0}, "relu is constant below 0")},
                    {"close_to_the_kink", {both_sides(1e-3, 2e-3)({7}, 27)}, f, steps_from(5e-4)},
                    {"tiny", {both_sides(1e-6, 2e-6)({7}, 28)}, f, steps_from(5e-7)},
                    {"huge", {both_sides(1e6, 2e6)({7}, 29)}, f},
                    {"in_training", {both_sides(0.5, 2.0)({2, 5, 17, 3}, 30)}, f},
                    {"in_training_wide", {both_sides(0.5, 2.0)({2, 5, 17, 16}, 31)}, f},
                    {"at_the_kink",
                     {Tensor::of<double>({5}, std::vector<double>{1, 0, -1, -0.0, 2}),
                      Tensor::of<double>({5}, std::vector<double>{1, 0, 0, 0, 1})},
                     f,
                     at_the_kink,
                     /*cancels=*/true},  // to both sides of 0
                });
}

long double value(long double x) {
  return x < 0 ? 0 : x;
}

}  // namespace

const Facts relu_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, relu, value); },
    .draw = [](Draw& d) { return drawn_unary(d.any(), "relu(@0)", relu, value, {}, true); },
    .calls = [] { return unary_calls(relu); },
    .ulp = {{-1, 0.3, 0.4}, {0, 0.5, 0.2}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}},
};

}  // namespace posetape
