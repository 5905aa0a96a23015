#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {

// A rounded value has no derivative to compare with, so the cases stay in f64 (or convert to it,
// where a test gives them another type). The gradient through narrower types is in the engine
// tests.
namespace {

std::vector<Case> cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{cast(in[0], DType::f64)}; };
  return {
      {"scalar", {random_normal({}, 1)}, f},
      {"one_element", {random_normal({1}, 4)}, f},
      {"rank1_15", {random_normal({15}, 5)}, f},
      {"rank2_16", {random_normal({2, 16}, 6)}, f},
      {"rank3_tail", {random_normal({2, 3, 17}, 2)}, f},
      {"rank4_31", {random_normal({1, 2, 1, 31}, 7)}, f},
      {"rank5_33", {random_normal({1, 1, 1, 1, 33}, 8)}, f},
      {"rank6", {random_normal({2, 1, 2, 1, 2, 3}, 9)}, f},
      {"tail_65", {random_normal({65}, 10)}, f},
      {"block_4095", {random_normal({4095}, 11)}, f},
      {"block_4097", {random_normal({4097}, 12)}, f},
      {"many", {random_normal({20000}, 13)}, f},
      {"tiny", {random_normal({5}, 14, 1e-6)}, f},
      {"huge", {random_normal({5}, 15, 1e6)}, f},
      {"empty",
       {random_normal({0, 3}, 16), random_normal({2}, 17)},
       [](std::span<const Tensor> in) {
         return std::vector{cast(in[0], DType::f64), cast(in[1], DType::f64)};
       }},
      {"fan_out",
       {random_normal({5}, 3)},
       [](std::span<const Tensor> in) {
         const Tensor y = cast(in[0], DType::f64);
         return std::vector{mul(y, y), cast(in[0], DType::f64)};
       }},
  };
}

void values(const CheckValues& check) {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{2, 3, 4}}) {
    check(
        shape.text(), {random_normal(shape, 1)},
        [](std::span<const Tensor> in) { return cast(cast(in[0], DType::f64), in[0].dtype()); },
        [](const auto& in) { return in[0]; });
  }
}

std::vector<ModelCall> calls() {
  return {{"", [] { return std::vector{random_normal(kTokens, 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{
                 cast(in[0], in[0].dtype() == DType::f32 ? DType::bf16 : DType::f32)};
           }}};
}

DrawnCall draw(Draw& d) {
  return {{d.any()},
          [](std::span<const Tensor> in) {
            return std::vector{cast(cast(in[0], DType::f64), in[0].dtype())};
          },
          "cast(cast(@0, DType::f64), @0.dtype())",
          {[](const auto& in) { return in[0]; }}};
}

}  // namespace

const Facts cast_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] { cast(zeros({2}), DType::i32); }},
    .ulp = {{-1, 0.0, 0.0}, {0, 0.1, 0.2}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}},
};

}  // namespace posetape
