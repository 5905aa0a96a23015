#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> mse_loss_cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{mse_loss(in[0], in[1])}; };
  const auto inputs = [](const Shape& shape, std::uint64_t seed) {
    return std::vector<Tensor>{random_normal(shape, seed), random_normal(shape, seed + 1)};
  };
  GradcheckOptions constant_target;
  constant_target.constant = {1};
  return {
      {"poses", inputs({2, 3, 5, 3}, 10), f},
      {"constant_target", inputs({17}, 20), f, constant_target},
      {"scalar", inputs({}, 30), f},
      {"one_element", inputs({1}, 40), f},
      {"tail_33", inputs({3, 33}, 50), f},
      {"long", inputs({3, 10001}, 60), f},
      // The loss is 0 whatever x is.
      {"same_tensor_twice",
       {random_normal({2, 3}, 70)},
       [](std::span<const Tensor> in) { return std::vector{mse_loss(in[0], in[0])}; },
       zero_gradient({0}, "a mean of zeros, at its minimum everywhere")},
  };
}

}  // namespace posetape
