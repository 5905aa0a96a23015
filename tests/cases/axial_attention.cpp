#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> axial_attention_cases() {
  const auto with = [](Axis axis, Index heads, double scale = 0) {
    return [=](std::span<const Tensor> in) {
      return std::vector{
          axial_attention(in[0], axis, heads, scale, in.size() > 1 ? in[1] : Tensor())};
    };
  };
  return {
      {"space", {random_normal({2, 2, 3, 12}, 1)}, with(Axis::space, 2)},
      {"time", {random_normal({2, 5, 2, 12}, 2)}, with(Axis::time, 2)},
      {"cross", {random_normal({1, 3, 4, 24}, 3)}, with(Axis::cross, 2)},
      {"cross_added",
       {random_normal({2, 3, 2, 12}, 4), random_normal({2, 3, 2, 4}, 5)},
       with(Axis::cross, 1, 0.7)},
      {"one_token", {random_normal({2, 1, 1, 12}, 6)}, with(Axis::cross, 2)},
      // Lengths around a vector's and a block's, and a head wider than a vector.
      {"tails", {random_normal({1, 18, 17, 12}, 7)}, with(Axis::cross, 1)},
      {"wide_head", {random_normal({1, 3, 2, 66}, 8)}, with(Axis::time, 1)},
      // Large scores: all but one probability are almost zero.
      {"saturated", {random_normal({1, 4, 3, 12}, 9, 3.0)}, with(Axis::cross, 1, 2.0)},
  };
}

}  // namespace posetape
