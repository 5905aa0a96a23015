#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

// Of both signs in turn, with |x| in (low, high): away from the kink at 0 by more than the largest
// step of the differences.
Fill both_sides(double low, double high) {
  return [=](const Shape& shape, std::uint64_t seed) {
    const Tensor x = random_uniform(shape, seed, low, high);
    for (Index i = 1; i < x.size(); i += 2) x.data<double>()[i] *= -1;
    return x;
  };
}

std::vector<Case> cases() {
  const TensorFunction f = elementwise(Unary(abs));
  const TensorFunction composite = elementwise(Unary(abs_composite));
  // Here differences can't tell. The composite is the product with an input of slopes.
  GradcheckOptions at_the_kink = with_composite(elementwise(Binary(mul)), constant_inputs({1}));
  at_the_kink.kink = true;
  at_the_kink.reason = "there is no slope at 0; the one taken is 0";
  return joined(unary_cases(abs, both_sides(0.5, 2.0), abs_composite),
                {
                    {"close_to_the_kink",
                     {both_sides(1e-3, 2e-3)({7}, 27)},
                     f,
                     with_composite(composite, steps_from(5e-4))},
                    {"tiny",
                     {both_sides(1e-6, 2e-6)({7}, 28)},
                     f,
                     with_composite(composite, steps_from(5e-7))},
                    {"huge", {both_sides(1e6, 2e6)({7}, 29)}, f, with_composite(composite)},
                    {"at_the_kink",
                     {Tensor::of<double>({5}, std::vector<double>{1, 0, -1, -0.0, 2}),
                      Tensor::of<double>({5}, std::vector<double>{1, 0, -1, 0, 1})},
                     f,
                     at_the_kink,
                     /*cancels=*/true},  // to both sides of 0
                });
}

long double value(long double x) {
  return std::fabs(x);
}

}  // namespace

const Facts abs_facts{
    .cases = cases,
    .values = [](const CheckValues& check) { check_unary(check, abs, value); },
    .draw =
        [](Draw& d) { return drawn_unary(d.any(), "abs(@0)", abs, value, abs_composite, true); },
    .calls = [] { return unary_calls(abs); },
    .ulp = {{-1, 0.3, 0.5}, {0, 0.3, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}},
};

}  // namespace posetape
