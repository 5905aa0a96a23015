#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

// With which the smallest cases are kept whole, or they would have no gradient.
constexpr std::uint64_t kSeed = 5;
constexpr std::uint64_t kStep = 3;

Unary by(double rate) {
  return [=](const Tensor& x) { return dropout(x, rate, kSeed, Stream::test, kStep); };
}
Unary composite(double rate) {
  return [=](const Tensor& x) { return dropout_composite(x, rate, kSeed, Stream::test, kStep); };
}

std::vector<Case> cases() {
  std::vector<Case> list = unary_cases(by(0.3), normal(), composite(0.3));
  const auto put = [&](const char* name, const Tensor& x, double rate) {
    list.push_back(
        {name, {x}, elementwise(by(rate)), with_composite(elementwise(composite(rate)))});
  };
  put("all_are_kept", random_normal({2, 7}, 30), 0);
  put("few_are_kept", random_normal({3, 33}, 31), 0.9);
  put("half", random_normal({3, 5}, 32), 0.5);
  put("tiny", random_normal({3, 5}, 33, 1e-6), 0.5);
  put("huge", random_normal({3, 5}, 34, 1e6), 0.5);
  const Tensor step = Tensor::full({1}, static_cast<double>(kStep), DType::f64);
  list.push_back({"step_from_memory",
                  {random_normal({3, 5}, 35)},
                  [step](std::span<const Tensor> in) {
                    return std::vector{
                        dropout(in[0], 0.5, kSeed, Stream::test, step.to(in[0].device()))};
                  },
                  with_composite(elementwise(composite(0.5)))});
  list.push_back({"none_is_kept",
                  {random_normal({2}, 36)},
                  elementwise(by(0.9999)),
                  zero_gradient({0}, "both elements are dropped")});
  return list;
}

Numbers reference(double rate, const std::vector<Numbers>& in) {
  Random random(kSeed, Stream::test, kStep);
  Numbers y;
  for (const long double x : in[0]) {
    y.push_back(random.uniform() < rate ? 0 : x / (1 - static_cast<long double>(rate)));
  }
  return y;
}

void values(const CheckValues& check) {
  for (const double rate : {0.0, 0.25, 0.9}) {
    const auto f = [&](std::span<const Tensor> in) { return by(rate)(in[0]); };
    const auto plain = [&](const auto& in) { return reference(rate, in); };
    for (const Shape& shape :
         {Shape{}, Shape{1}, Shape{0}, Shape{3, 0}, Shape{17}, Shape{3, 33}, Shape{5, 4001}}) {
      check(shape.text(), {random_normal(shape, 1)}, f, plain);
    }
  }
}

DrawnCall draw(Draw& d) {
  const double rate = d.chance(0.1) ? 0 : d.number(0, 0.9);
  return {{d.any()},
          elementwise(by(rate)),
          fmt::format("dropout(@0, {}, {}, Stream::test, {})", rate, kSeed, kStep),
          {[=](const auto& in) { return reference(rate, in); }},
          elementwise(composite(rate))};
}

}  // namespace

const Facts dropout_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = [] { return unary_calls(by(0.1)); },
    .refused = {
        [] { dropout(zeros({2}), 1, 1, Stream::dropout); },
        [] { dropout(zeros({2}), -0.1, 1, Stream::dropout); },
        [] { dropout(zeros({2}), 0.1, 1, Stream::dropout, Tensor()); },
        [] { dropout(zeros({2}), 0.1, 1, Stream::dropout, zeros({1})); },
        [] { dropout(zeros({2}), 0.1, 1, Stream::dropout, Tensor::zeros({2}, DType::f64)); }},
    .ulp = {{-1, 0.9, 1.0}, {0, 1.0, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 1.4, 0.5, 1.5}, {0, 1.4, 0.5}},
};

}  // namespace posetape
