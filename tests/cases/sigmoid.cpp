#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(sigmoid));
  const GradcheckOptions composite = with_composite(elementwise(Unary(sigmoid_composite)));
  // Steps are relative to x, but the function bends within about 1 wherever that is.
  const auto composite_from = [&](double step) {
    return with_composite(composite.composite, steps_from(step));
  };
  GradcheckOptions no_differences = composite;
  no_differences.without = {Oracle::differences};
  no_differences.reason = "values next to 1 have no digits left for differences";
  return joined(
      unary_cases(sigmoid, normal(), sigmoid_composite),
      {
          {"near_zero", {random_normal({6}, 27, 1e-6)}, f, composite},
          {"negative_tail", {random_uniform({6}, 28, -5.0, -3.0)}, f, composite},
          {"positive_tail", {random_uniform({6}, 29, 3.0, 5.0)}, f, composite},
          {"saturated_below", {random_uniform({6}, 30, -30.0, -20.0)}, f, composite_from(0.002)},
          {"saturated", {random_uniform({6}, 31, 7.0, 9.0)}, f, composite_from(0.01)},
          {"saturated_far", {random_uniform({6}, 34, 20.0, 30.0)}, f, no_differences},
          // Where e^-x of f32 is infinite.
          {"far_below", {random_uniform({3}, 32, -110.0, -90.0)}, f, composite_from(5e-4)},
          {"far_above",
           {random_uniform({3}, 33, 800.0, 900.0)},
           f,
           zero_gradient({0}, "below the smallest number")},
      });
}

long double value(long double x) {
  return logistic(x);
}

}  // namespace

const Facts sigmoid_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, sigmoid, value); },
    .draw =
        [](Draw& d) {
          return drawn_unary(d.any(), "sigmoid(@0)", sigmoid, value, sigmoid_composite);
        },
    .calls = [] { return unary_calls(sigmoid); },
    .ulp = {{-1, 1.4, 1.0}, {0, 3.5, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 1.9, 0.5, 1.8}, {0, 3.5, 0.5}},
};

}  // namespace posetape
