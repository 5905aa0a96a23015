#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Binary(sub));
  return joined(binary_cases(sub, normal(), normal()),
                {
                    {"tiny", {random_normal({2, 3}, 100, 1e-6), random_normal({3}, 101, 1e-6)}, f},
                    {"huge", {random_normal({2, 3}, 102, 1e6), random_normal({3}, 103, 1e6)}, f},
                    {"in_training_poses",
                     {random_normal({2, 5, 17, 3}, 104), random_normal({2, 5, 17, 3}, 105)},
                     f},
                    {"in_training_poses_constant",
                     {random_normal({2, 5, 17, 3}, 106), random_normal({2, 5, 17, 3}, 107)},
                     f,
                     constant_inputs({1})},
                    {"same_tensor_twice",
                     {random_uniform({3, 5}, 120, 1.0, 3.0)},
                     [](std::span<const Tensor> in) { return std::vector{sub(in[0], in[0])}; },
                     zero_gradient({0}, "x - x is constant")},
                });
}

long double value(long double a, long double b) {
  return a - b;
}

}  // namespace

const Facts sub_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_binary(check, sub, value); },
    .draw = [](Draw& d) { return drawn_binary(d, "sub(@0, @1)", sub, value); },
    .calls = [] { return binary_calls(sub); },
    .refused = {[] { sub(zeros({2}), zeros({3})); }},
    .ulp = {{-1, 0.5, 0.5}, {0, 2.3, 0.5}, {1, 2.5, 0.5}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.5, 0.5, 0.0}, {0, 4.9, 0.5}, {1, 6.4, 0.5}},
};

}  // namespace posetape
