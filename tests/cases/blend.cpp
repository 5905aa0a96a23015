#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> blend_cases() {
  const auto f = [](std::span<const Tensor> in) {
    return std::vector{blend(in[0], in[1], in[2], in[3])};
  };
  const auto inputs = [](const Shape& shape, std::uint64_t seed) {
    return std::vector<Tensor>{random_normal({shape[0]}, seed), random_normal(shape, seed + 1),
                               random_normal({shape[0]}, seed + 2), random_normal(shape, seed + 3)};
  };
  GradcheckOptions schedule;
  schedule.constant = {0, 2};
  return {
      {"poses", inputs({2, 3, 5, 3}, 10), f},
      {"constant_factors", inputs({3, 17}, 20), f, schedule},
      {"rank1", inputs({5}, 30), f},
      {"one_element", inputs({1, 1}, 40), f},
      {"tail_33", inputs({2, 33}, 50), f},
      {"empty_samples", inputs({2, 0}, 70), f, zero_gradient({0, 2}, kEmptyResult)},
      {"long_samples", inputs({3, 9000}, 80), f},
      {"many_samples", inputs({20000, 2}, 90), f},
      {"same_tensor_twice",
       {random_normal({3}, 100), random_normal({3, 4}, 101)},
       [](std::span<const Tensor> in) { return std::vector{blend(in[0], in[1], in[0], in[1])}; }},
  };
}

}  // namespace posetape
