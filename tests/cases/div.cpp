#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Binary(div));
  const TensorFunction composite = elementwise(Binary(div_composite));
  // Denominators well away from the pole at 0.
  return joined(
      binary_cases(div, normal(), uniform(1.0, 3.0), div_composite, 0.01),
      {
          {"tiny",
           {random_normal({2, 3}, 100, 1e-6), random_uniform({3}, 101, 1e-6, 3e-6)},
           f,
           with_composite(composite, steps_from(5e-8))},
          {"huge",
           {random_normal({2, 3}, 102, 1e6), random_uniform({3}, 103, 1e6, 3e6)},
           f,
           with_composite(composite)},
          {"tiny_by_huge",
           {random_normal({2, 3}, 104, 1e-6), random_uniform({3}, 105, 1e6, 3e6)},
           f,
           with_composite(composite)},
          {"negative", {random_normal({2, 3}, 106), random_uniform({3}, 107, -3.0, -1.0)}, f},
          {"same_tensor_twice",
           {random_uniform({3, 5}, 120, 1.0, 3.0)},
           [](std::span<const Tensor> in) { return std::vector{div(in[0], in[0])}; },
           zero_gradient({0}, "x / x is constant")},
      });
}

long double value(long double a, long double b) {
  return a / b;
}

}  // namespace

const Facts div_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_binary(check, div, value); },
    .draw =
        [](Draw& d) {
          const int a = d.any();
          const int b = d.positive(d.partner(d.shape_of(a)));
          return drawn_binary(d, a, b, "div(@0, @1)", div, value, div_composite);
        },
    .calls = [] { return binary_calls(div); },
    .refused = {[] {
      div(zeros({2, 3}), zeros({3, 2}));
    }},
    .ulp = {{-1, 0.5, 0.5}, {0, 30.0, 0.5}, {1, 8.5, 0.5}, {2, 0.9, 0.3}},
    .drawn = {{-1, 0.5, 0.5, 0.5}, {0, 3.0, 0.5}, {1, 3.1, 0.5}},
};

}  // namespace posetape
