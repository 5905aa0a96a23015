#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

std::vector<Case> gather_cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{gather(in[0], in[1])}; };
  const auto indices = [](const Shape& shape, Index rows) {
    Tensor t = Tensor::empty(shape, DType::i32);
    std::int32_t i = 0;
    for (std::int32_t& v : t.values<std::int32_t>()) {
      v = static_cast<std::int32_t>((i * 7 + i / 5) % rows);
      ++i;
    }
    return t;
  };
  return {
      {"repeated", {random_normal({4, 3}, 1), indices({6}, 4)}, f},
      {"some_unused", {random_normal({50, 3}, 2), indices({2, 3}, 50)}, f},
      {"grid", {random_normal({3, 5}, 3), indices({2, 3, 4}, 3)}, f},
      {"one", {random_normal({1, 1}, 4), indices({}, 1)}, f},
      {"width_17", {random_normal({2, 17}, 5), indices({3}, 2)}, f},
      {"many_uses", {random_normal({3, 4}, 6), indices({5000}, 3)}, f},
      {"many_rows", {random_normal({700, 3}, 7), indices({900}, 700)}, f},
      {"unused", {random_normal({3, 4}, 8), indices({0}, 3)}, f, zero_gradient({0}, kEmptyResult)},
  };
}

}  // namespace posetape
