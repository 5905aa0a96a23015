#include <cmath>
#include <map>
#include <string>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

// Numbers near whole ones for a, and near halves for b, so that no step makes another one the
// larger.
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
  const TensorFunction f = elementwise(Binary(maximum));
  const TensorFunction composite = elementwise(Binary(maximum_composite));
  // To a where both are equal, as the product with slopes.
  GradcheckOptions tied = with_composite(
      [](std::span<const Tensor> in) {
        return std::vector{add(mul(in[0], in[2]), mul(in[1], scale(in[2], -1, 1)))};
      },
      constant_inputs({2}));
  tied.kink = true;
  tied.reason = "there is no slope where both are equal; the gradient goes to the first";
  const Unary clamped = [](const Tensor& x) { return clamp(x, -0.75, 1.25); };
  const Unary clamped_composite = [](const Tensor& x) {
    const auto limit = [&](double v) { return Tensor::full({}, v, x.dtype()); };
    return minimum_composite(maximum_composite(x, limit(-0.75)), limit(1.25));
  };
  std::vector<Case> list =
      joined(binary_cases(maximum, near(0), near(0.5), maximum_composite, 0.02),
             {
                 {"tied",
                  {Tensor::of<double>({4}, std::vector<double>{1, 2, 3, -4}),
                   Tensor::of<double>({4}, std::vector<double>{1, 2, 5, -6}),
                   Tensor::of<double>({4}, std::vector<double>{1, 1, 0, 1})},
                  f,
                  tied},
                 {"clamp",
                  {near(0)({3, 7}, 130)},
                  elementwise(clamped),
                  with_composite(elementwise(clamped_composite), steps_from(0.02))},
             });
  const std::map<std::string, int> never_chosen{{"scalars", 0}, {"one_element", 1}};
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
  return a > b ? a : b;
}

}  // namespace

const Facts maximum_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_binary(check, maximum, value); },
    .draw =
        [](Draw& d) {
          return drawn_binary(d, "maximum(@0, @1)", maximum, value, maximum_composite, true);
        },
    .calls = [] { return binary_calls(maximum); },
    .refused = {[] {
      maximum(zeros({2, 3}), zeros({4}));
    }},
    .ulp = {{-1, 0.0, 0.0}, {0, 3.0, 0.5}, {1, 4.6, 0.5}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 7.0, 0.5}, {1, 2.1, 0.5}},
};

}  // namespace posetape
