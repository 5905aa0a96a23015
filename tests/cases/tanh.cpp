#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> tanh_cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{tanh(in[0])}; };
  return {
      {"scalar", {random_normal({}, 1)}, f},
      {"rank1_17", {random_normal({17}, 2)}, f},
      {"rank2_33", {random_normal({2, 33}, 3)}, f},
      {"rank4", {random_normal({2, 3, 1, 5}, 4)}, f},
      {"many", {random_normal({40000}, 5)}, f},
      {"fan_out",
       {random_normal({5}, 6)},
       [](std::span<const Tensor> in) {
         const Tensor y = tanh(in[0]);
         return std::vector{mul(y, y), add(tanh(in[0]), in[0])};
       }},
      {"near_zero", {random_uniform({6}, 8, -0.01, 0.01)}, f},
      {"flat", {random_uniform({6}, 9, 3.0, 5.0)}, f},
  };
}

}  // namespace posetape
