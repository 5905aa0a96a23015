#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {

std::vector<Case> sqrt_cases() {
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

}  // namespace posetape
