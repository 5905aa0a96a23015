#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> relu_cases() {
  // Away from the kink at 0 by more than the largest step of the differences.
  const auto f = [](std::span<const Tensor> in) { return std::vector{relu(in[0])}; };
  return {
      {"positive", {random_uniform({3, 5}, 1, 0.5, 2.0)}, f},
      {"negative",
       {random_uniform({7}, 2, -2.0, -0.5)},
       [](std::span<const Tensor> in) { return std::vector{relu(in[0])}; },
       zero_gradient({0}, "relu is constant below 0")},
  };
}

}  // namespace posetape
