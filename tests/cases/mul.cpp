#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Binary(mul));
  return joined(
      binary_cases(mul, normal(), normal()),
      {
          {"tiny", {random_normal({2, 3}, 100, 1e-6), random_normal({3}, 101, 1e-6)}, f},
          {"huge", {random_normal({2, 3}, 102, 1e6), random_normal({3}, 103, 1e6)}, f},
          {"tiny_and_huge", {random_normal({2, 3}, 104, 1e-6), random_normal({3}, 105, 1e6)}, f},
          {"in_training_poses",
           {random_normal({2, 5, 17, 3}, 106), random_normal({2, 5, 17, 3}, 107)},
           f},
          {"in_training_joint_weights",
           {random_normal({2, 5, 17, 3}, 108), random_normal({17, 1}, 109)},
           f,
           constant_inputs({1})},
          {"in_training_drop_frames",
           {random_normal({2, 5, 17, 16}, 110), random_normal({2, 5, 1, 1}, 111)},
           f,
           constant_inputs({1})},
          {"in_training_drop_joints",
           {random_normal({2, 5, 17, 16}, 112), random_normal({2, 1, 17, 1}, 113)},
           f,
           constant_inputs({1})},
          {"same_tensor_twice",
           {random_uniform({3, 5}, 120, 1.0, 3.0)},
           [](std::span<const Tensor> in) { return std::vector{mul(in[0], in[0])}; }},
      });
}

long double value(long double a, long double b) {
  return a * b;
}

}  // namespace

const Facts mul_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_binary(check, mul, value); },
    .draw = [](Draw& d) { return drawn_binary(d, "mul(@0, @1)", mul, value); },
    .calls = [] { return binary_calls(mul); },
    .refused = {[] { mul(zeros({2}), zeros({0})); }},
    .ulp = {{-1, 0.9, 1.0}, {0, 4.2, 0.7}, {1, 4.5, 0.7}, {2, 0.5, 0.4}},
    .drawn = {{-1, 0.5, 0.5, 0.5}, {0, 4.3, 0.5}, {1, 4.0, 0.5}},
};

}  // namespace posetape
