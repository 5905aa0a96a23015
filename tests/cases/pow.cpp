#include <fmt/format.h>

#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

Unary to_the(double p) {
  return [=](const Tensor& x) { return pow(x, p); };
}
Unary composite(double p) {
  return [=](const Tensor& x) { return pow_composite(x, p); };
}

std::vector<Case> cases() {
  std::vector<Case> list = unary_cases(to_the(1.7), uniform(0.5, 2.5), composite(1.7));
  const auto put = [&](const char* name, const Tensor& x, double p, const Unary& other = {}) {
    list.push_back({name,
                    {x},
                    elementwise(to_the(p)),
                    with_composite(elementwise(other ? other : composite(p)))});
  };
  put("square", random_normal({7}, 30), 2, [](const Tensor& x) { return mul(x, x); });
  put("cube", random_normal({7}, 31), 3, [](const Tensor& x) { return mul(x, mul(x, x)); });
  put("itself", random_normal({7}, 32), 1, [](const Tensor& x) { return scale(x, 1); });
  put("root", random_uniform({7}, 33, 1, 3), 0.5, [](const Tensor& x) { return sqrt(x); });
  put("inverse", random_uniform({7}, 34, -3, -1), -1,
      [](const Tensor& x) { return div(Tensor::full({}, 1, x.dtype()), x); });
  put("negative_exponent", random_uniform({7}, 35, 1, 3), -2.5);
  put("huge", random_uniform({7}, 36, 1e6, 3e6), 1.5);
  list.push_back({"tiny",
                  {random_uniform({7}, 37, 1e-6, 3e-6)},
                  elementwise(to_the(1.5)),
                  with_composite(elementwise(composite(1.5)), steps_from(5e-8))});
  list.push_back({"exponent_zero",
                  {random_normal({5}, 38)},
                  elementwise(to_the(0)),
                  zero_gradient({0}, "x^0 is 1")});
  // Slopes at 0: 0 above an exponent of 1, 1 for 1.
  list.push_back({"square_at_zero",
                  {Tensor::of<double>({3}, std::vector<double>{0, 1, -2})},
                  elementwise(to_the(2)),
                  with_composite(elementwise(Unary([](const Tensor& x) { return mul(x, x); }))),
                  /*cancels=*/true});  // the slope is 0
  return list;
}

DrawnCall draw(Draw& d) {
  const auto p = d.one_of<double>({-2.5, -1, 0, 0.5, 1, 1.5, 2, 3});
  const bool whole = p >= 0 && p != 0.5 && p != 1.5;
  const auto value = [p](long double x) { return std::pow(x, static_cast<long double>(p)); };
  return drawn_unary(whole ? d.any() : d.positive(), fmt::format("pow(@0, {})", p), to_the(p),
                     value, whole ? Unary() : composite(p));
}

}  // namespace

const Facts pow_facts{
    .cases = cases,
    .values =
        [](const CheckValues& check) {
          check_unary(check, to_the(3), [](long double x) { return x * x * x; });
          check_unary(
              check, to_the(-0.5), [](long double x) { return 1 / std::sqrt(x); },
              uniform(0.01, 9));
          check_unary(check, to_the(0.3), [](long double x) {
            return std::pow(x, static_cast<long double>(0.3));
          });  // NaN below 0
        },
    .draw = draw,
    .calls = [] { return unary_calls(to_the(1.5)); },
    .ulp = {{-1, 1.1, 0.5}, {0, 2.4, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.5, 0.5, 0.5}, {0, 1.6, 0.5}},
};

}  // namespace posetape
