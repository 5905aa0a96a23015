#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(sqrt));
  const TensorFunction composite = elementwise(Unary(sqrt_composite));
  // Away from 0, where the slope has no bound.
  return joined(
      unary_cases(sqrt, uniform(1.0, 3.0), sqrt_composite),
      {
          {"large", {random_uniform({4}, 28, 100.0, 1000.0)}, f, with_composite(composite)},
          {"huge", {random_uniform({6}, 29, 1e6, 3e6)}, f, with_composite(composite)},
          {"tiny",
           {random_uniform({6}, 30, 1e-6, 3e-6)},
           f,
           with_composite(composite, steps_from(5e-8))},
      });
}

long double value(long double x) {
  return std::sqrt(x);
}

}  // namespace

const Facts sqrt_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, sqrt, value, uniform(0.01, 9)); },
    .draw =
        [](Draw& d) { return drawn_unary(d.positive(), "sqrt(@0)", sqrt, value, sqrt_composite); },
    .calls = [] { return unary_calls(sqrt); },
    .ulp = {{-1, 1.0, 0.5}, {0, 1.7, 1.3}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.5, 0.5, 0.5}, {0, 1.8, 1.3}},
};

}  // namespace posetape
