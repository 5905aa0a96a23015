#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto by = [](double factor, double offset) -> Unary {
    return [=](const Tensor& x) { return scale(x, factor, offset); };
  };
  const auto composite = [](double factor, double offset) -> Unary {
    return [=](const Tensor& x) { return scale_composite(x, factor, offset); };
  };
  std::vector<Case> list = unary_cases(by(-0.3, 4), normal(), composite(-0.3, 4));
  const auto put = [&](const char* name, const Tensor& x, double factor, double offset) {
    list.push_back({name,
                    {x},
                    elementwise(by(factor, offset)),
                    with_composite(elementwise(composite(factor, offset)))});
  };
  put("factor_alone", random_normal({5}, 27), 2, 0);
  put("negation", random_normal({5}, 28), -1, 0);
  put("offset_alone", random_normal({5}, 29), 1, 3);
  put("factor_tiny", random_normal({5}, 30), 1e-6, 0);
  put("factor_huge", random_normal({5}, 31), 1e6, 1);
  put("tiny", random_normal({5}, 32, 1e-6), 7, 0);
  put("huge", random_normal({5}, 33, 1e6), 7, -1);
  put("in_training", random_normal({2, 5, 17, 3}, 35), -2, 0);
  put("in_training_wide", random_normal({2, 5, 17, 16}, 36), 0.2, 0);
  list.push_back({"factor_zero",
                  {random_normal({5}, 34)},
                  elementwise(by(0, 2)),
                  zero_gradient({0}, "0 x is constant")});
  return list;
}

DrawnCall draw(Draw& d) {
  const double factor = d.chance(0.2) ? d.one_of<double>({0, 1, -1}) : d.number(-2, 2);
  const double offset = d.chance(0.5) ? 0 : d.number(-1, 1);
  const auto value = [=](long double x) {
    return static_cast<long double>(factor) * x + static_cast<long double>(offset);
  };
  const Unary op = [=](const Tensor& x) { return scale(x, factor, offset); };
  const Unary composite = [=](const Tensor& x) { return scale_composite(x, factor, offset); };
  return drawn_unary(d.any(), fmt::format("scale(@0, {}, {})", factor, offset), op, value,
                     composite);
}

}  // namespace

const Facts scale_facts{
    .cases = cases,
    .values =
        [](const CheckValues& check) {
          check_unary(
              check, [](const Tensor& x) { return scale(x, -1.5, 0.25); },
              [](long double x) { return -1.5L * x + 0.25L; });
        },
    .draw = draw,
    .calls = [] { return unary_calls([](const Tensor& x) { return scale(x, 0.5, 1); }); },
    .ulp = {{-1, 1.5, 0.9}, {0, 1.0, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 1.5, 0.5, 1.0}, {0, 0.5, 0.5}},
};

}  // namespace posetape
