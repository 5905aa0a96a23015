#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> transpose_cases() {
  const auto by = [](std::vector<int> axes) {
    return [axes](std::span<const Tensor> in) { return std::vector{transpose(in[0], axes)}; };
  };
  return {
      {"matrix", {random_normal({3, 5}, 1)}, by({1, 0})},
      {"tiles", {random_normal({33, 65}, 2)}, by({1, 0})},
      {"rank1", {random_normal({17}, 3)}, by({0})},
      {"one_element", {random_normal({1, 1}, 4)}, by({1, 0})},
      {"identity", {random_normal({2, 3, 4}, 5)}, by({0, 1, 2})},
      {"heads", {random_normal({2, 3, 4, 5}, 6)}, by({0, 2, 1, 3})},
      {"last_two", {random_normal({2, 3, 17, 2}, 7)}, by({0, 1, -1, -2})},
      {"reverse", {random_normal({2, 3, 4, 5}, 8)}, by({3, 2, 1, 0})},
      {"cycle", {random_normal({4, 1, 3, 2}, 9)}, by({2, 0, 3, 1})},
      {"rank6", {random_normal({2, 2, 2, 2, 2, 3}, 10)}, by({5, 1, 3, 0, 4, 2})},
      {"large", {random_normal({40, 30, 50}, 11)}, by({2, 0, 1})},
      {"there_and_back",
       {random_normal({3, 4}, 12)},
       [](std::span<const Tensor> in) {
         const Tensor y = transpose(in[0], {1, 0});
         return std::vector{y, mul(transpose(y, {1, 0}), in[0])};
       }},
  };
}

}  // namespace posetape
