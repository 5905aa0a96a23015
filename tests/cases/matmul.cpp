#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> matmul_cases() {
  const auto with = [](bool transpose_a, bool transpose_b) {
    return [=](std::span<const Tensor> in) {
      return std::vector{matmul(in[0], in[1], {transpose_a, transpose_b})};
    };
  };
  const auto f = with(false, false);
  const auto inputs = [](const Shape& a, const Shape& b, std::uint64_t seed) {
    return std::vector<Tensor>{random_normal(a, seed), random_normal(b, seed + 1)};
  };
  return {
      {"matrices", inputs({3, 4}, {4, 5}, 10), f},
      {"one_element", inputs({1, 1}, {1, 1}, 12), f},
      {"vectors", inputs({1, 17}, {17, 1}, 14), f},
      {"outer_product", inputs({5, 1}, {1, 4}, 16), f},
      {"tails", inputs({3, 33}, {33, 2}, 18), f},
      {"batch", inputs({3, 2, 4}, {3, 4, 5}, 20), f},
      {"batch_rank4", inputs({2, 3, 2, 3}, {2, 3, 3, 2}, 22), f},
      {"shared", inputs({3, 2, 4}, {4, 5}, 24), f},
      {"shared_rank4", inputs({2, 2, 3, 2}, {2, 4}, 26), f},
      {"transpose_a", inputs({3, 4, 2}, {3, 4, 5}, 28), with(true, false)},
      {"transpose_b", inputs({3, 2, 4}, {3, 5, 4}, 30), with(false, true)},
      {"transpose_both", inputs({2, 4, 3}, {2, 5, 4}, 32), with(true, true)},
      {"transpose_both_matrices", inputs({4, 3}, {5, 4}, 34), with(true, true)},
      {"shared_transpose_b", inputs({3, 2, 4}, {5, 4}, 36), with(false, true)},
      {"many_rows", inputs({700, 3, 4}, {4, 5}, 38), f},
      {"long_sum", inputs({3, 2500}, {2500, 4}, 40), f},
      {"empty_batch", inputs({0, 3, 4}, {4, 5}, 44), f, zero_gradient({1}, kEmptyResult)},
      {"square_of_a_tensor",
       {random_normal({4, 4}, 46)},
       [](std::span<const Tensor> in) { return std::vector{matmul(in[0], in[0])}; }},
      {"gram",
       {random_normal({3, 5}, 48)},
       [](std::span<const Tensor> in) {
         return std::vector{matmul(in[0], in[0], {.transpose_b = true})};
       }},
  };
}

}  // namespace posetape
