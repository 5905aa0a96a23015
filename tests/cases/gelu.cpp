#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(gelu));
  return joined(
      unary_cases(gelu, normal()),
      {
          {"near_zero", {random_normal({6}, 27, 1e-6)}, f},
          {"negative_tail", {random_uniform({6}, 28, -5.0, -3.0)}, f, steps_from(0.01)},
          {"positive_tail", {random_uniform({6}, 29, 3.0, 5.0)}, f, steps_from(0.01)},
          {"saturated_below", {random_uniform({6}, 30, -9.0, -7.0)}, f, steps_from(0.002)},
          {"linear_above", {random_uniform({6}, 31, 7.0, 9.0)}, f, steps_from(0.002)},
          {"far_below",
           {random_uniform({3}, 32, -50.0, -40.0)},
           f,
           zero_gradient({0}, "below the smallest number")},
          {"huge", {random_uniform({3}, 33, 1e6, 3e6)}, f},
      });
}

long double value(long double x) {
  return x * normal_cdf(x);
}

}  // namespace

const Facts gelu_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, gelu, value); },
    .draw = [](Draw& d) { return drawn_unary(d.any(), "gelu(@0)", gelu, value); },
    .calls = [] { return unary_calls(gelu); },
    .ulp = {{-1, 8.4, 0.5}, {0, 7.3, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 4.3, 0.5, 2.2}, {0, 6.3, 0.5}},
};

}  // namespace posetape
