#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> scale_cases() {
  const auto by = [](double factor, double offset) {
    return [=](std::span<const Tensor> in) { return std::vector{scale(in[0], factor, offset)}; };
  };
  return {
      {"scalar", {random_normal({}, 1)}, by(2, 0)},
      {"rank1_17", {random_normal({17}, 2)}, by(-0.3, 4)},
      {"rank4", {random_normal({2, 3, 1, 5}, 3)}, by(7, -1)},
      {"many", {random_normal({40000}, 4)}, by(0.5, 0.25)},
      {"fan_out",
       {random_normal({5}, 5)},
       [](std::span<const Tensor> in) {
         const Tensor y = scale(in[0], 3, 1);
         return std::vector{mul(y, y), add(scale(in[0], 2), in[0])};
       }},
  };
}

}  // namespace posetape
