#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> broadcast_to_cases() {
  const auto to = [](const Shape& shape) {
    return [shape](std::span<const Tensor> in) { return std::vector{broadcast_to(in[0], shape)}; };
  };
  return {
      {"scalar", {random_normal({}, 1)}, to({17})},
      {"scalar_to_one", {random_normal({}, 2)}, to({1, 1})},
      {"same", {random_normal({2, 3}, 3)}, to({2, 3})},
      {"rows", {random_normal({5}, 4)}, to({3, 2, 5})},
      {"columns", {random_normal({3, 1}, 5)}, to({3, 33})},
      {"middle", {random_normal({2, 1, 3}, 6)}, to({2, 4, 3})},
      {"alternating", {random_normal({2, 1, 3, 1}, 7)}, to({2, 4, 3, 5})},
      {"many_rows", {random_normal({3}, 8)}, to({4000, 3})},
      {"long_sum", {random_normal({2, 1}, 9)}, to({2, 50000})},
      {"many_outputs", {random_normal({300, 1, 4}, 10)}, to({300, 70, 4})},
      {"to_nothing", {random_normal({3, 1}, 11)}, to({3, 0}), zero_gradient({0}, kEmptyResult)},
  };
}

}  // namespace posetape
