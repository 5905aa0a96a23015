#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> reshape_cases() {
  const auto to = [](const Shape& shape) {
    return [shape](std::span<const Tensor> in) { return std::vector{reshape(in[0], shape)}; };
  };
  return {
      {"flatten", {random_normal({2, 3, 4}, 1)}, to({24})},
      {"unflatten", {random_normal({17}, 2)}, to({1, 17, 1})},
      {"scalar", {random_normal({}, 3)}, to({1, 1})},
      {"same_shape", {random_normal({3, 5}, 4)}, to({3, 5})},
      // Gradients of shared memory: one is added to while another still reads it.
      {"fan_out",
       {random_normal({2, 6}, 5)},
       [](std::span<const Tensor> in) {
         const Tensor y = reshape(in[0], {3, 4});
         const Tensor z = reshape(y, {12});
         return std::vector{mul(z, reshape(in[0], {12})), add(y, mul(y, y))};
       }},
  };
}

}  // namespace posetape
