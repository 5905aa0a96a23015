#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

// A rounded value has no derivative to compare with, so the cases stay in f64 (or convert to it,
// where a test gives them another type). The gradient through narrower types is in the engine
// tests.
std::vector<Case> cast_cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{cast(in[0], DType::f64)}; };
  return {
      {"scalar", {random_normal({}, 1)}, f},
      {"rank3_tail", {random_normal({2, 3, 17}, 2)}, f},
      {"fan_out",
       {random_normal({5}, 3)},
       [](std::span<const Tensor> in) {
         const Tensor y = cast(in[0], DType::f64);
         return std::vector{mul(y, y), cast(in[0], DType::f64)};
       }},
  };
}

}  // namespace posetape
