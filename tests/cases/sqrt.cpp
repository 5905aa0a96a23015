#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> sqrt_cases() {
  // Away from 0, where the slope has no bound.
  const auto f = [](std::span<const Tensor> in) { return std::vector{sqrt(in[0])}; };
  return {
      {"scalar", {random_uniform({}, 1, 0.5, 3.0)}, f},
      {"rank1_17", {random_uniform({17}, 2, 0.5, 3.0)}, f},
      {"rank2_33", {random_uniform({2, 33}, 3, 0.5, 3.0)}, f},
      {"rank4", {random_uniform({2, 3, 1, 5}, 4, 0.5, 3.0)}, f},
      {"many", {random_uniform({40000}, 5, 0.5, 3.0)}, f},
      {"fan_out",
       {random_uniform({5}, 6, 0.5, 3.0)},
       [](std::span<const Tensor> in) {
         const Tensor y = sqrt(in[0]);
         return std::vector{mul(y, y), add(sqrt(in[0]), in[0])};
       }},
      {"large", {random_uniform({4}, 8, 100.0, 1000.0)}, f},
  };
}

}  // namespace posetape
