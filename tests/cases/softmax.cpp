#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> softmax_cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{softmax(in[0])}; };
  return {
      {"vector", {random_normal({5}, 1)}, f},
      {"rows_17", {random_normal({3, 17}, 2)}, f},
      {"rows_33", {random_normal({2, 33}, 3)}, f},
      {"rank4", {random_normal({2, 2, 3, 4}, 4)}, f},
      {"many_rows", {random_normal({5000, 3}, 5)}, f},
      // Far from 0, where exp(x) alone would overflow.
      {"shifted",
       {random_normal({3, 6}, 6)},
       [](std::span<const Tensor> in) { return std::vector{softmax(scale(in[0], 1, 1000))}; }},
      // Constant, with a gradient of exactly zero.
      {"width_1",
       {random_normal({3, 1}, 7)},
       f,
       zero_gradient({0}, "a softmax over one number is constant")},
      {"twice",
       {random_normal({2, 5}, 8)},
       [](std::span<const Tensor> in) {
         return std::vector{softmax(softmax(in[0])), softmax(in[0])};
       }},
  };
}

}  // namespace posetape
