#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(exp));
  return joined(unary_cases(exp, normal()),
                {
                    {"small", {random_normal({4}, 28, 1, -20)}, f, steps_from(0.002)},
                    {"smaller", {random_uniform({6}, 29, -30.0, -20.0)}, f, steps_from(0.002)},
                    {"large", {random_uniform({6}, 30, 20.0, 30.0)}, f, steps_from(0.002)},
                    {"near_zero", {random_normal({6}, 31, 1e-6)}, f},
                });
}

long double value(long double x) {
  return std::exp(x);
}

}  // namespace

const Facts exp_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, exp, value); },
    .draw = [](Draw& d) { return drawn_unary(d.any(), "exp(@0)", exp, value); },
    .calls = [] { return unary_calls(exp); },
    .ulp = {{-1, 1.2, 0.5}, {0, 1.3, 1.2}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.9, 0.5, 0.5}, {0, 1.4, 1.3}},
};

}  // namespace posetape
