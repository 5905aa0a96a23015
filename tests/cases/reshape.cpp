#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto to = [](const Shape& shape) {
    return [shape](std::span<const Tensor> in) { return std::vector{reshape(in[0], shape)}; };
  };
  return {
      {"flatten", {random_normal({2, 3, 4}, 1)}, to({24})},
      {"unflatten", {random_normal({17}, 2)}, to({1, 17, 1})},
      {"scalar", {random_normal({}, 3)}, to({1, 1})},
      {"to_scalar", {random_normal({1, 1, 1}, 6)}, to({})},
      {"one_element", {random_normal({1}, 7)}, to({1, 1, 1, 1, 1, 1})},
      {"same_shape", {random_normal({3, 5}, 4)}, to({3, 5})},
      {"rank4", {random_normal({2, 3, 2, 2}, 8)}, to({6, 4})},
      {"rank5", {random_normal({2, 1, 3, 1, 5}, 9)}, to({5, 6})},
      {"rank6", {random_normal({2, 1, 2, 1, 2, 3}, 10)}, to({3, 2, 4})},
      {"tail_65", {random_normal({65}, 11)}, to({5, 13})},
      {"many", {random_normal({3, 5000}, 12)}, to({5000, 3})},
      {"tiny", {random_normal({2, 3}, 13, 1e-6)}, to({3, 2})},
      {"huge", {random_normal({2, 3}, 14, 1e6)}, to({3, 2})},
      {"empty", {random_normal({0, 3}, 15), random_normal({2}, 16)}, beside_last(to({5, 0}))},
      // Gradients of shared memory: one is added to while another still reads it.
      {"fan_out",
       {random_normal({2, 6}, 5)},
       [](std::span<const Tensor> in) {
         const Tensor y = reshape(in[0], {3, 4});
         const Tensor z = reshape(y, {12});
         return std::vector{mul(z, reshape(in[0], {12})), add(y, mul(y, y))};
       }},
      {"two_calls",
       {random_normal({2, 6}, 17)},
       [](std::span<const Tensor> in) {
         return std::vector{reshape(in[0], {3, 4}), reshape(in[0], {12})};
       }},
      {"input_and_output",
       {random_normal({2, 3}, 18)},
       [](std::span<const Tensor> in) {
         return std::vector{reshape(in[0], {6}), in[0]};
       }},
  };
}

void values(const CheckValues& check) {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{2, 3, 4}}) {
    check(
        shape.text(), {random_normal(shape, 1)},
        [](std::span<const Tensor> in) { return reshape(in[0], {in[0].size()}); },
        [](const auto& in) { return in[0]; });
  }
}

std::vector<ModelCall> calls() {
  return {{"", [] { return std::vector{random_normal(kTokens, 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{reshape(in[0], {kBatch * kFrames * kJoints, kWidth})};
           }}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any();
  const Shape to = d.regrouped(d.shape_of(x).size());
  return {{x},
          [to](std::span<const Tensor> in) { return std::vector{reshape(in[0], to)}; },
          fmt::format("reshape(@0, {})", braced(to)),
          {[](const auto& in) { return in[0]; }}};
}

}  // namespace

const Facts reshape_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
      reshape(zeros({2, 3}), {5});
    }},
    .ulp = {{-1, 0.5, 0.5}, {0, 0.5, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}},
};

}  // namespace posetape
