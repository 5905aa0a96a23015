#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(tanh));
  const TensorFunction composite = elementwise(Unary(tanh_composite));
  GradcheckOptions no_differences;
  no_differences.without = {Oracle::differences};
  no_differences.reason = "values next to 1 have no digits left for differences";
  return joined(
      unary_cases(tanh, normal(), tanh_composite),
      {
          {"near_zero", {random_uniform({6}, 28, -0.01, 0.01)}, f, with_composite(composite)},
          // Here the composite's e^2x - 1 would cancel.
          {"tiny", {random_normal({6}, 29, 1e-6)}, f},
          {"flat", {random_uniform({6}, 30, 3.0, 5.0)}, f, with_composite(composite)},
          {"flat_below", {random_uniform({6}, 31, -5.0, -3.0)}, f, with_composite(composite)},
          {"saturated", {random_uniform({6}, 34, 15.0, 18.0)}, f, no_differences},
          {"saturated_below", {random_uniform({6}, 35, -18.0, -15.0)}, f, no_differences},
          {"far_above",
           {random_uniform({3}, 32, 400.0, 500.0)},
           f,
           zero_gradient({0}, "below the smallest number")},
          {"far_below",
           {random_uniform({3}, 33, -500.0, -400.0)},
           f,
           zero_gradient({0}, "below the smallest number")},
      });
}

long double value(long double x) {
  return std::tanh(x);
}

}  // namespace

const Facts tanh_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, tanh, value); },
    .draw = [](Draw& d) { return drawn_unary(d.any(), "tanh(@0)", tanh, value, tanh_composite); },
    .calls = [] { return unary_calls(tanh); },
    .ulp = {{-1, 1.5, 0.7}, {0, 3.4, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 1.8, 0.5, 1.7}, {0, 3.5, 0.5}},
};

}  // namespace posetape
