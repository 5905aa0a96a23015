#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(log));
  // Away from 0, where the slope has no bound.
  return joined(unary_cases(log, uniform(1.0, 3.0)),
                {
                    {"large", {random_uniform({4}, 28, 100.0, 1000.0)}, f},
                    {"huge", {random_uniform({6}, 29, 1e6, 3e6)}, f},
                    {"tiny", {random_uniform({6}, 30, 1e-6, 3e-6)}, f, steps_from(5e-8)},
                    {"near_one", {random_normal({6}, 31, 1e-6, 1)}, f},
                });
}

long double value(long double x) {
  return std::log(x);
}

}  // namespace

const Facts log_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, log, value, uniform(0.01, 9)); },
    .draw = [](Draw& d) { return drawn_unary(d.positive(), "log(@0)", log, value); },
    .calls = [] { return unary_calls(log); },
    .ulp = {{-1, 0.5, 1.3}, {0, 1.4, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.6, 0.5, 0.5}, {0, 1.3, 0.5}},
};

}  // namespace posetape
