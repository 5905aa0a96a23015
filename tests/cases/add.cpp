#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Binary(add));
  return joined(binary_cases(add, normal(), normal()),
                {
                    {"tiny", {random_normal({2, 3}, 100, 1e-6), random_normal({3}, 101, 1e-6)}, f},
                    {"huge", {random_normal({2, 3}, 102, 1e6), random_normal({3}, 103, 1e6)}, f},
                    {"mlp_residual", {random_normal({3, 32}, 108), random_normal({3, 32}, 109)}, f},
                    {"in_training_poses",
                     {random_normal({2, 5, 17, 3}, 104), random_normal({2, 5, 17, 3}, 105)},
                     f},
                    {"in_training_joint_embedding",
                     {random_normal({2, 5, 17, 16}, 104), random_normal({17, 16}, 105)},
                     f},
                    {"in_training_frame_embedding",
                     {random_normal({2, 5, 17, 16}, 106), random_normal({5, 1, 16}, 107)},
                     f},
                    {"same_tensor_twice",
                     {random_uniform({3, 5}, 120, 1.0, 3.0)},
                     [](std::span<const Tensor> in) { return std::vector{add(in[0], in[0])}; }},
                });
}

long double value(long double a, long double b) {
  return a + b;
}

}  // namespace

const Facts add_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_binary(check, add, value); },
    .draw = [](Draw& d) { return drawn_binary(d, "add(@0, @1)", add, value); },
    .calls = [] { return binary_calls(add); },
    .refused = {[] {
      add(zeros({2, 3}), zeros({4}));
    }},
    .ulp = {{-1, 0.5, 0.5}, {0, 2.3, 0.5}, {1, 2.5, 0.5}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.5, 0.5, 0.0}, {0, 5.0, 0.5}, {1, 4.3, 0.5}},
};

}  // namespace posetape
