#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> joint_distance_loss_cases() {
  const auto f = [](std::span<const Tensor> in) {
    return std::vector{joint_distance_loss(in[0], in[1])};
  };
  // The target is moved away, so that no distance is near the kink at 0.
  const auto inputs = [](const Shape& shape, std::uint64_t seed) {
    return std::vector<Tensor>{random_normal(shape, seed), random_normal(shape, seed + 1, 1, 4)};
  };
  GradcheckOptions at_the_kink =
      zero_gradient({0}, "constant, on the kink, where a square root has no derivative");
  at_the_kink.without = {Oracle::adjoint, Oracle::complex_step};
  GradcheckOptions constant_target;
  constant_target.constant = {1};
  return {
      {"poses", inputs({2, 3, 5, 3}, 10), f},
      {"constant_target", inputs({4, 3}, 20), f, constant_target},
      {"one_joint", inputs({3}, 30), f},
      {"width_2", inputs({17, 2}, 40), f},
      {"width_17", inputs({3, 17}, 50), f},
      {"many_rows", inputs({5000, 3}, 60), f},
      // Equal everywhere: on the kink, where the slope is taken as 0 and the loss is constant.
      {"same_tensor_twice",
       {random_normal({4, 3}, 80)},
       [](std::span<const Tensor> in) { return std::vector{joint_distance_loss(in[0], in[0])}; },
       at_the_kink},
  };
}

}  // namespace posetape
