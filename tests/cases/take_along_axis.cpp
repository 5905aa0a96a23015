#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

TensorFunction along(int axis) {
  return [axis](std::span<const Tensor> in) {
    return std::vector{take_along_axis(in[0], in[1], axis)};
  };
}

// As many as that along the axis.
Tensor index_for(const Shape& x, int axis, Index count) {
  return indices(x.with(axis, count), x[axis]);
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put = [&](const char* name, const Tensor& x, int axis, Index count) {
    const TensorFunction composite = [axis](std::span<const Tensor> in) {
      return std::vector{take_along_axis_composite(in[0], in[1], axis)};
    };
    list.push_back(
        {name, {x, index_for(x.shape(), axis, count)}, along(axis), with_composite(composite)});
  };
  put("vector", random_normal({5}, 1), 0, 7);
  put("one_element", random_normal({1}, 2), 0, 1);
  put("always_the_same", random_normal({1, 3}, 3), 0, 4);
  put("rows", random_normal({4, 3}, 4), 0, 6);
  put("columns", random_normal({3, 4}, 5), -1, 6);
  put("few_of_many", random_normal({3, 40}, 6), 1, 2);
  put("middle", random_normal({2, 3, 4}, 7), 1, 5);
  put("rank4", random_normal({2, 3, 2, 3}, 8), -2, 3);
  put("rank5", random_normal({2, 1, 3, 2, 2}, 9), 2, 2);
  put("rank6", random_normal({1, 2, 1, 2, 3, 2}, 10), 4, 4);
  put("width_15", random_normal({3, 15}, 11), 0, 4);
  put("width_16", random_normal({3, 16}, 12), 0, 4);
  put("width_17", random_normal({3, 17}, 13), 0, 4);
  put("width_65", random_normal({2, 65}, 14), 0, 3);
  put("uses_300", random_normal({3, 2}, 15), 0, 300);
  put("many_rows", random_normal({700, 3}, 16), 1, 4);
  put("tiny", random_normal({3, 4}, 17, 1e-6), 1, 5);
  put("huge", random_normal({3, 4}, 18, 1e6), 1, 5);
  list.push_back({"many_uses", {random_normal({3, 2}, 19), indices({2000, 2}, 3)}, along(0)});
  list.push_back({"width_4097", {random_normal({2, 4097}, 20), indices({3, 4097}, 2)}, along(0)});
  list.push_back({"extent_40000", {random_normal({40000}, 21), indices({3000}, 40000)}, along(0)});
  list.push_back(
      {"two_calls",
       {random_normal({4, 3}, 22), indices({6, 3}, 4), indices({4, 2}, 3)},
       [](std::span<const Tensor> in) {
         return std::vector{take_along_axis(in[0], in[1], 0), take_along_axis(in[0], in[2], 1)};
       }});
  list.push_back({"unused",
                  {random_normal({3, 4}, 23), indices({3, 0}, 4)},
                  along(1),
                  zero_gradient({0}, kEmptyResult)});
  list.push_back({"empty",
                  {random_normal({0, 3}, 24), indices({0, 2}, 3), random_normal({2}, 25)},
                  beside_last(along(1))});
  return list;
}

Numbers reference(const Shape& x, const Shape& index, int axis, const std::vector<Numbers>& in) {
  Numbers y(in[1].size());
  each_index(index, [&](std::vector<Index> from, std::size_t n) {
    from[static_cast<std::size_t>(axis)] = static_cast<Index>(in[1][n]);
    y[n] = in[0][place_in(x, from)];
  });
  return y;
}

void values(const CheckValues& check) {
  struct Call {
    Shape x;
    int axis;
    Index count;
  };
  for (const auto& [shape, axis, count] : {Call{{1}, 0, 1},
                                           {{5}, 0, 9},
                                           {{3, 4}, 1, 0},
                                           {{0, 4}, 1, 2},
                                           {{3, 17}, 0, 5},
                                           {{3, 17}, 1, 40},
                                           {{2, 3, 4}, 1, 4},
                                           {{2, 4100}, 0, 3}}) {
    const auto f = [axis = axis](std::span<const Tensor> in) {
      return take_along_axis(in[0], in[1], axis);
    };
    const auto plain = [x = shape, axis = axis, count = count](const auto& in) {
      return reference(x, x.with(axis, count), axis, in);
    };
    const Tensor x = random_normal(shape, 1);
    const Tensor index = index_for(shape, axis, count);
    check(shape.text(), {x, index}, f, plain);
    if (x.size() > 0) check("nan", {with_nan(x, x.size() / 2), index}, f, plain);
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             return std::vector{random_normal(kTokens, 1), indices(kTokens, kFrames)};
           },
           along(1)}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const int axis = d.axis(shape.rank());
  const int counted = from_first(axis, shape.rank());
  const Index beside = shape.outer(counted) * shape.inner(counted);
  const Shape index = shape.with(counted, shape[counted] == 0 ? 0 : d.extent(beside));
  return {{x, d.indices(index, shape[counted])},
          along(axis),
          fmt::format("take_along_axis(@0, @1, {})", axis),
          {[=](const auto& in) { return reference(shape, index, counted, in); }},
          [axis](std::span<const Tensor> in) {
            return std::vector{take_along_axis_composite(in[0], in[1], axis)};
          }};
}

}  // namespace

const Facts take_along_axis_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  take_along_axis(zeros({2, 3}), indices({3}), 1);
                },
                [] {
                  take_along_axis(zeros({2, 3}), indices({3, 3}), 1);
                },
                [] {
                  take_along_axis(zeros({2, 3}), indices({2, 3}), 2);
                },
                [] {
                  take_along_axis(zeros({2, 3}), zeros({2, 3}), 1);
                },
                [] {
                  take_along_axis(zeros({2, 0}), indices({2, 1}), 1);
                }},
    .ulp = {{-1, 0.0, 0.0}, {0, 0.5, 0.5}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.5, 0.5}},
};

}  // namespace posetape
