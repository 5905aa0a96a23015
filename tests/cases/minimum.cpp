#include <cmath>
#include <map>
#include <string>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

// Numbers near whole ones for a, and near halves for b, so that no step makes another one the
// smaller.
Fill near(double part) {
  return [=](const Shape& shape, std::uint64_t seed) {
    const Tensor x = random_normal(shape, seed);
    const Tensor off = random_uniform(shape, seed + 1000, -0.1, 0.1);
    for (Index i = 0; i < x.size(); ++i) {
      double& v = x.data<double>()[i];
      v = std::round(v) + part + off.data<double>()[i];
    }
    return x;
  };
}

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Binary(minimum));
  const TensorFunction composite = elementwise(Binary(minimum_composite));
  // To a where both are equal, as the product with slopes.
  GradcheckOptions tied = with_composite(
      [](std::span<const Tensor> in) {
        return std::vector{add(mul(in[0], in[2]), mul(in[1], scale(in[2], -1, 1)))};
      },
      constant_inputs({2}));
  tied.kink = true;
  tied.reason = "there is no slope where both are equal; the gradient goes to the first";
  std::vector<Case> list =
      joined(binary_cases(minimum, near(0), near(0.5), minimum_composite, 0.02),
             {
                 {"tied",
                  {Tensor::of<double>({4}, std::vector<double>{1, 2, 3, -4}),
                   Tensor::of<double>({4}, std::vector<double>{1, 2, 5, -6}),
                   Tensor::of<double>({4}, std::vector<double>{1, 1, 1, 0})},
                  f,
                  tied},
             });
  const std::map<std::string, int> never_chosen{
      {"scalars", 1}, {"one_element", 0}, {"two_calls", 1}};
  for (Case& c : list) {
    c.cancels = true;  // a NaN is chosen, which no derivative tells
    if (const auto found = never_chosen.find(c.name); found != never_chosen.end()) {
      c.options.zero = {found->second};
      c.options.reason = "no element of it is chosen";
    }
  }
  return list;
}

long double value(long double a, long double b) {
  if (std::isnan(a) || std::isnan(b)) return std::nan("");
  return a < b ? a : b;
}

}  // namespace

const Facts minimum_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_binary(check, minimum, value); },
    .draw =
        [](Draw& d) {
          return drawn_binary(d, "minimum(@0, @1)", minimum, value, minimum_composite, true);
        },
    .calls = [] { return binary_calls(minimum); },
    .refused = {[] {
      minimum(zeros({2, 3}), zeros({4}));
    }},
    .ulp = {{-1, 0.0, 0.0}, {0, 2.9, 0.5}, {1, 3.7, 0.5}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 4.0, 0.5}, {1, 4.9, 0.5}},
};

}  // namespace posetape
