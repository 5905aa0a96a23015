#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> linear_cases() {
  const auto with = [](Activation activation) {
    return [activation](std::span<const Tensor> in) {
      return std::vector{linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), activation)};
    };
  };
  const Tensor w = random_normal({4, 5}, 1);
  const Tensor b = random_normal({4}, 2);
  return {
      {"bias", {random_normal({7, 5}, 3), w, b}, with(Activation::none)},
      {"no_bias", {random_normal({2, 3, 5}, 4), w}, with(Activation::none)},
      {"gelu", {random_normal({6, 5}, 5), w, b}, with(Activation::gelu)},
      {"silu", {random_normal({6, 5}, 6), w, b}, with(Activation::silu)},
      {"gelu_no_bias", {random_normal({6, 5}, 7), w}, with(Activation::gelu)},
      // The weight's gradient is a long sum, cut along the rows.
      {"long_sum", {random_normal({2500, 5}, 8, 0.1), w, b}, with(Activation::none)},
  };
}

}  // namespace posetape
