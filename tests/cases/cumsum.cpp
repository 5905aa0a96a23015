#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto along = [](int axis) {
    return elementwise(Unary([=](const Tensor& x) { return cumsum(x, axis); }));
  };
  const auto put = [&](const char* name, const Tensor& x, int axis) {
    const Unary composite = [=](const Tensor& t) { return cumsum_composite(t, axis); };
    list.push_back({name, {x}, along(axis), with_composite(elementwise(composite))});
  };
  put("vector", random_normal({5}, 1), 0);
  put("one_element", random_normal({1}, 2), 0);
  put("rows", random_normal({4, 3}, 3), 0);
  put("columns", random_normal({3, 4}, 4), -1);
  put("middle", random_normal({2, 3, 4}, 5), 1);
  put("rank4", random_normal({2, 3, 2, 3}, 6), -2);
  put("rank5", random_normal({2, 1, 3, 2, 2}, 7), 2);
  put("rank6", random_normal({1, 2, 1, 2, 3, 2}, 8), 4);
  put("of_extent_one", random_normal({3, 1, 2}, 9), 1);
  put("width_15", random_normal({3, 15}, 10), 0);
  put("width_16", random_normal({3, 16}, 11), 0);
  put("width_17", random_normal({3, 17}, 12), 0);
  put("width_33", random_normal({2, 33}, 13), 1);
  put("row_255", random_normal({2, 255}, 14), 1);
  put("row_256", random_normal({2, 256}, 15), 1);
  put("row_257", random_normal({2, 257}, 16), 1);
  put("many_rows", random_normal({1500, 3}, 17), 1);
  put("tiny", random_normal({3, 4}, 18, 1e-6), 1);
  put("huge", random_normal({3, 4}, 19, 1e6), 1);
  list.push_back({"kept_4097", {random_normal({3, 4097}, 20)}, along(0)});
  list.push_back({"row_4097", {random_normal({4097}, 21)}, along(0)});
  list.push_back({"twice", {random_normal({3, 4}, 22)}, [](std::span<const Tensor> in) {
                    return std::vector{cumsum(cumsum(in[0], 0), 1), cumsum(in[0], 0)};
                  }});
  for (const Shape& empty : {Shape{0, 3}, Shape{3, 0}}) {
    list.push_back({fmt::format("empty_{}x{}", empty[0], empty[1]),
                    {random_normal(empty, 23), random_normal({2}, 24)},
                    beside_last(along(1))});
  }
  return list;
}

Numbers reference(const Shape& x, int axis, const std::vector<Numbers>& in) {
  const auto inner = static_cast<std::size_t>(x.inner(axis));
  const auto count = static_cast<std::size_t>(x[axis]);
  Numbers y = in[0];
  for (std::size_t n = 0; n < y.size(); ++n) {
    if (n / inner % count > 0) y[n] += y[n - inner];
  }
  return y;
}

void values(const CheckValues& check) {
  for (const auto& [shape, axis] : {std::pair{Shape{1}, 0},
                                    {Shape{0}, 0},
                                    {Shape{7}, 0},
                                    {Shape{3, 0}, 0},
                                    {Shape{3, 17}, -1},
                                    {Shape{33, 3}, 0},
                                    {Shape{2, 3, 4}, 1},
                                    {Shape{2, 600}, 1},
                                    {Shape{2, 4100}, 0}}) {
    const auto f = [axis = axis](std::span<const Tensor> in) { return cumsum(in[0], axis); };
    const auto plain = [x = shape, axis = axis](const auto& in) {
      return reference(x, from_first(axis, x.rank()), in);
    };
    const Tensor x = random_normal(shape, 1);
    check(shape.text(), {x}, f, plain);
    if (x.size() > 0) check("nan", {with_nan(x, x.size() / 2)}, f, plain);
  }
}

std::vector<ModelCall> calls() {
  const auto tokens = [] { return std::vector{random_normal(kTokens, 1)}; };
  return {{"frames", tokens, elementwise(Unary([](const Tensor& x) { return cumsum(x, 1); }))},
          {"columns", tokens, elementwise(Unary([](const Tensor& x) { return cumsum(x); }))}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const int axis = d.axis(shape.rank());
  return {{x},
          elementwise(Unary([=](const Tensor& t) { return cumsum(t, axis); })),
          fmt::format("cumsum(@0, {})", axis),
          {[=](const auto& in) { return reference(shape, from_first(axis, shape.rank()), in); }},
          elementwise(Unary([=](const Tensor& t) { return cumsum_composite(t, axis); }))};
}

}  // namespace

const Facts cumsum_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  cumsum(zeros({2, 3}), 2);
                },
                [] {
                  cumsum(zeros({2, 3}), -3);
                },
                [] { cumsum(zeros({}), 0); }},
    .ulp = {{-1, 1.0, 0.8}, {0, 0.5, 0.8}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.5, 0.5, 28.7}, {0, 0.5, 0.5}},
};

}  // namespace posetape
