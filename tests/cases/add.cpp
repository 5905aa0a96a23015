#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> add_cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{add(in[0], in[1])}; };
  const auto inputs = [](const Shape& a, const Shape& b, std::uint64_t seed) {
    return std::vector<Tensor>{random_normal(a, seed), random_normal(b, seed + 1)};
  };
  return {
      {"scalars", inputs({}, {}, 10), f},
      {"one_element", inputs({1}, {1, 1}, 12), f},
      {"rank1_17", inputs({17}, {17}, 14), f},
      {"rank4", inputs({2, 3, 2, 5}, {2, 3, 2, 5}, 16), f},
      {"tail_33", inputs({3, 33}, {3, 33}, 18), f},
      {"bias", inputs({2, 3, 5}, {5}, 20), f},
      {"bias_first", inputs({15}, {4, 15}, 22), f},
      {"suffix", inputs({2, 3, 4}, {3, 4}, 24), f},
      {"scalar_second", inputs({3, 5}, {}, 26), f},
      {"scalar_first", inputs({1}, {3, 5}, 28), f},
      {"inner", inputs({3, 5}, {3, 1}, 30), f},
      {"inner_first", inputs({2, 1, 1}, {2, 3, 4}, 32), f},
      {"middle", inputs({2, 3, 4}, {2, 1, 4}, 34), f},
      {"outer_product", inputs({4, 1}, {1, 5}, 36), f},
      {"alternating", inputs({2, 1, 3, 1}, {1, 4, 1, 5}, 38), f},
      {"outer_and_inner", inputs({3, 2, 4}, {1, 2, 1}, 40), f},
      {"bias_many_rows", inputs({3000, 5}, {5}, 42), f},
      {"scalar_of_many", inputs({30000}, {1}, 44), f},
      {"few_of_many", inputs({3, 20000}, {3, 1}, 46), f},
      {"wide", inputs({3, 9001}, {9001}, 48), f},
      {"empty_rows", inputs({0, 3}, {3}, 50), f, zero_gradient({1}, kEmptyResult)},
      {"empty_columns", inputs({3, 1}, {3, 0}, 52), f, zero_gradient({0}, kEmptyResult)},
      {"same_tensor_twice",
       {random_uniform({3, 5}, 120, 1.0, 3.0)},
       [](std::span<const Tensor> in) { return std::vector{add(in[0], in[0])}; }},
      {"fan_out",
       {random_uniform({4}, 121, 1.0, 3.0), random_uniform({2, 4}, 122, 1.0, 3.0)},
       [](std::span<const Tensor> in) {
         const Tensor once = add(in[0], in[1]);
         return std::vector{add(once, in[1]), add(once, once)};
       }},
  };
}

}  // namespace posetape
