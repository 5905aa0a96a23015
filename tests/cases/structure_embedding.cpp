#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> structure_embedding_cases() {
  const auto plain = [](std::span<const Tensor> in) {
    return std::vector{structure_embedding(in[0], in[1], in[2])};
  };
  const auto parts = [](std::span<const Tensor> in) {
    return std::vector{structure_embedding(in[0], in[1], in[2], in[3], in[4], 0.7)};
  };
  const auto inputs = [](Index b, Index n, Index j, Index d, std::uint64_t seed) {
    return std::vector<Tensor>{random_normal({b, n, j, 3 * d}, seed),
                               random_normal({d, 3, 3}, seed + 1), random_normal({d}, seed + 2)};
  };
  const auto with_parts = [&](Index b, Index n, Index d, Index w, std::uint64_t seed) {
    std::vector<Tensor> in = inputs(b, n, 5, d, seed);
    in.push_back(random_normal({3, w}, seed + 3));
    in.push_back(Tensor::of<std::int32_t>({5}, std::vector<std::int32_t>{0, 2, 2, 0, 2}));
    return in;
  };
  return {
      {"grid", inputs(1, 3, 4, 3, 10), plain},
      {"batch", inputs(2, 2, 3, 2, 20), plain},
      {"one_frame", inputs(3, 1, 4, 2, 30), plain},
      {"one_joint", inputs(2, 5, 1, 2, 40), plain},
      {"one_element", inputs(1, 1, 1, 1, 50), plain},
      {"channels_17", inputs(1, 3, 3, 17, 60), plain},
      {"channels_33", inputs(1, 2, 3, 33, 70), plain},
      {"many_rows", inputs(50, 4, 3, 2, 80), plain},
      {"empty_batch", inputs(0, 3, 4, 2, 90), plain, zero_gradient({1, 2}, kEmptyResult)},
      // Part 1 has no joint: its gradient is zero.
      {"parts", with_parts(2, 2, 4, 2, 100), parts},
      {"parts_repeated_over_channels", with_parts(1, 3, 10, 2, 110), parts},
      {"parts_wider_than_half", with_parts(1, 2, 5, 7, 120), parts},
      {"parts_many_rows", with_parts(30, 3, 6, 3, 130), parts},
  };
}

}  // namespace posetape
