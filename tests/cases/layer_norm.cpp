#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> layer_norm_cases() {
  const auto plain = [](std::span<const Tensor> in) {
    return std::vector{layer_norm(in[0], in[1], in[2]).y};
  };
  const auto stream = [](std::span<const Tensor> in) {
    const Normalized n = layer_norm(in[0], in[1], in[2], 1e-5, in[3], in[4]);
    return std::vector{n.y, n.s};
  };
  const Tensor gamma = random_uniform({6}, 1, 0.5, 1.5);
  const Tensor beta = random_normal({6}, 2);
  return {
      {"rows", {random_normal({5, 6}, 3), gamma, beta}, plain},
      {"rank3_tail",
       {random_normal({2, 3, 17}, 4), random_normal({17}, 5), random_normal({17}, 6)},
       plain},
      {"many_rows", {random_normal({300, 6}, 7), gamma, beta}, plain},
      {"residual",
       {random_normal({4, 3, 6}, 8), gamma, beta, random_normal({4, 3, 6}, 9), Tensor()},
       stream},
      {"residual_and_shift",
       {random_normal({4, 3, 6}, 10), gamma, beta, random_normal({4, 3, 6}, 11),
        random_normal({2, 6}, 12)},
       stream},
      {"shift_only",
       {random_normal({4, 6}, 13), gamma, beta, Tensor(), random_normal({4, 6}, 14)},
       stream},
      // x is its own residual: its gradient arrives twice.
      {"same_tensor_twice",
       {random_normal({3, 6}, 15), gamma, beta},
       [](std::span<const Tensor> in) {
         const Normalized n = layer_norm(in[0], in[1], in[2], 1e-5, in[0]);
         return std::vector{n.y, n.s};
       }},
  };
}

}  // namespace posetape
