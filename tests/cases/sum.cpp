#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> sum_cases() {
  const auto over = [](std::vector<int> axes, bool keepdims = false) {
    return [=](std::span<const Tensor> in) { return std::vector{sum(in[0], {axes, keepdims})}; };
  };
  return {
      {"all", {random_normal({2, 3, 5}, 1)}, over({})},
      {"all_keepdims", {random_normal({2, 3}, 2)}, over({}, true)},
      {"scalar", {random_normal({}, 3)}, over({})},
      {"one_element", {random_normal({1}, 4)}, over({0})},
      {"rows", {random_normal({4, 17}, 5)}, over({0})},
      {"columns", {random_normal({4, 33}, 6)}, over({-1})},
      {"middle", {random_normal({2, 3, 4}, 7)}, over({1})},
      {"middle_keepdims", {random_normal({2, 3, 4}, 8)}, over({1}, true)},
      {"outer_and_inner", {random_normal({2, 3, 4}, 9)}, over({2, 0})},
      {"alternating", {random_normal({2, 3, 2, 4}, 10)}, over({0, -2})},
      {"of_extent_one", {random_normal({3, 1, 2}, 11)}, over({1})},
      {"empty_sum",
       {random_normal({3, 0}, 12), random_normal({1}, 13)},
       [](std::span<const Tensor> in) {
         return std::vector{sum(in[0], {{1}}), sum(in[1])};
       }},
      {"many_rows", {random_normal({3000, 4}, 14)}, over({0})},
      {"long", {random_normal({2, 50000}, 15)}, over({1})},
      {"everything", {random_normal({9, 11, 400}, 16)}, over({})},
      {"mean",
       {random_normal({2, 3, 5}, 17)},
       [](std::span<const Tensor> in) {
         return std::vector{mean(in[0]), mean(in[0], {{1}}), mean(in[0], {{0, 2}, true})};
       }},
  };
}

}  // namespace posetape
