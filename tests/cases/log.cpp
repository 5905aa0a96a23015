#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> log_cases() {
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

}  // namespace posetape
