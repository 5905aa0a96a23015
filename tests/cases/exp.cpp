#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> exp_cases() {
  const TensorFunction f = elementwise(Unary(exp));
  return joined(unary_cases(exp, normal()),
                {
                    {"small", {random_normal({4}, 28, 1, -20)}, f, steps_from(0.002)},
                    {"smaller", {random_uniform({6}, 29, -30.0, -20.0)}, f, steps_from(0.002)},
                    {"large", {random_uniform({6}, 30, 20.0, 30.0)}, f, steps_from(0.002)},
                    {"near_zero", {random_normal({6}, 31, 1e-6)}, f},
                });
}

}  // namespace posetape
