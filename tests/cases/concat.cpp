#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> concat_cases() {
  const auto along = [](int axis) {
    return [axis](std::span<const Tensor> in) { return std::vector{concat(in, axis)}; };
  };
  return {
      {"vectors", {random_normal({3}, 1), random_normal({17}, 2)}, along(0)},
      {"one_input", {random_normal({2, 3}, 3)}, along(1)},
      {"one_element", {random_normal({1}, 4), random_normal({1}, 5)}, along(-1)},
      {"rows", {random_normal({2, 5}, 6), random_normal({3, 5}, 7)}, along(0)},
      {"columns",
       {random_normal({3, 2}, 8), random_normal({3, 1}, 9), random_normal({3, 4}, 10)},
       along(1)},
      {"middle", {random_normal({2, 3, 4}, 11), random_normal({2, 1, 4}, 12)}, along(1)},
      {"rank4_last", {random_normal({2, 3, 2, 3}, 13), random_normal({2, 3, 2, 2}, 14)}, along(-1)},
      {"with_an_empty_one", {random_normal({2, 0}, 15), random_normal({2, 3}, 16)}, along(1)},
      {"long_rows", {random_normal({2, 5000}, 17), random_normal({2, 9000}, 18)}, along(1)},
      {"same_tensor_three_times",
       {random_normal({2, 3}, 19)},
       [](std::span<const Tensor> in) {
         return std::vector{concat({in[0], in[0], in[0]}, 1), in[0]};
       }},
  };
}

}  // namespace posetape
