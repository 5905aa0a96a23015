#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(silu));
  const GradcheckOptions composite = with_composite(elementwise(Unary(silu_composite)));
  // Steps are relative to x, but the function bends within about 1 wherever that is.
  const auto composite_from = [&](double step) {
    return with_composite(composite.composite, steps_from(step));
  };
  return joined(
      unary_cases(silu, normal(), silu_composite),
      {
          {"near_zero", {random_normal({6}, 27, 1e-6)}, f, composite},
          {"negative_tail", {random_uniform({6}, 28, -5.0, -3.0)}, f, composite},
          {"positive_tail", {random_uniform({6}, 29, 3.0, 5.0)}, f, composite},
          {"saturated_below", {random_uniform({6}, 30, -30.0, -20.0)}, f, composite_from(0.002)},
          {"linear_above", {random_uniform({6}, 31, 20.0, 30.0)}, f, composite_from(0.002)},
          // Where e^-x of f32 is infinite.
          {"far_below", {random_uniform({3}, 32, -110.0, -90.0)}, f, composite_from(5e-4)},
          {"huge", {random_uniform({3}, 33, 1e6, 3e6)}, f, composite},
      });
}

long double value(long double x) {
  return x * logistic(x);
}

}  // namespace

const Facts silu_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, silu, value); },
    .draw = [](Draw& d) { return drawn_unary(d.any(), "silu(@0)", silu, value, silu_composite); },
    .calls = [] { return unary_calls(silu); },
    .ulp = {{-1, 1.9, 0.8}, {0, 7.0, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 1.8, 0.5, 1.9}, {0, 3.3, 0.5}},
};

}  // namespace posetape
