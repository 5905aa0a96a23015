#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> slice_cases() {
  const auto of = [](int axis, Index begin, Index end) {
    return [=](std::span<const Tensor> in) { return std::vector{slice(in[0], axis, begin, end)}; };
  };
  return {
      {"vector", {random_normal({17}, 1)}, of(0, 3, 9)},
      {"all", {random_normal({2, 3}, 2)}, of(1, 0, 3)},
      {"one", {random_normal({3, 4}, 3)}, of(0, 1, 2)},
      {"one_element", {random_normal({1}, 4)}, of(0, 0, 1)},
      {"head", {random_normal({3, 33}, 5)}, of(-1, 0, 16)},
      {"tail", {random_normal({3, 33}, 6)}, of(-1, 17, 33)},
      {"middle", {random_normal({2, 5, 4}, 7)}, of(1, 2, 4)},
      {"rank4", {random_normal({2, 3, 4, 3}, 8)}, of(2, 1, 3)},
      {"long_rows", {random_normal({2, 15000}, 9)}, of(1, 4000, 13000)},
      {"beside_nothing",
       {random_normal({3, 4}, 10)},
       [](std::span<const Tensor> in) {
         return std::vector{slice(in[0], 1, 2, 2), in[0]};
       }},
      // Parts of one tensor: the second gradient is added onto the first one's zeros.
      {"parts",
       {random_normal({2, 7}, 11)},
       [](std::span<const Tensor> in) {
         return std::vector{mul(slice(in[0], 1, 0, 4), slice(in[0], 1, 3, 7))};
       }},
  };
}

}  // namespace posetape
