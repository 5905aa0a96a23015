#include <fmt/format.h>

#include <algorithm>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

TensorFunction along(int axis, Index extent) {
  return [=](std::span<const Tensor> in) {
    return std::vector{scatter_add(in[0], in[1], axis, extent)};
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put = [&](const char* name, const Tensor& x, int axis, Index extent) {
    const TensorFunction composite = [=](std::span<const Tensor> in) {
      return std::vector{scatter_add_composite(in[0], in[1], axis, extent)};
    };
    list.push_back(
        {name, {x, indices(x.shape(), extent)}, along(axis, extent), with_composite(composite)});
  };
  put("vector", random_normal({7}, 1), 0, 5);
  put("one_element", random_normal({1}, 2), 0, 1);
  put("to_one_place", random_normal({4, 3}, 3), 0, 1);
  put("rows", random_normal({6, 3}, 4), 0, 4);
  put("columns", random_normal({3, 6}, 5), -1, 4);
  put("few_of_many", random_normal({3, 2}, 6), 1, 40);
  put("middle", random_normal({2, 5, 4}, 7), 1, 3);
  put("rank4", random_normal({2, 3, 2, 3}, 8), -2, 3);
  put("rank5", random_normal({2, 1, 3, 2, 2}, 9), 2, 2);
  put("rank6", random_normal({1, 2, 1, 2, 3, 2}, 10), 4, 4);
  put("width_15", random_normal({4, 15}, 11), 0, 3);
  put("width_16", random_normal({4, 16}, 12), 0, 3);
  put("width_17", random_normal({4, 17}, 13), 0, 3);
  put("width_65", random_normal({3, 65}, 14), 0, 2);
  put("uses_300", random_normal({300, 2}, 15), 0, 3);
  put("many_rows", random_normal({700, 4}, 16), 1, 3);
  put("tiny", random_normal({3, 5}, 17, 1e-6), 1, 4);
  put("huge", random_normal({3, 5}, 18, 1e6), 1, 4);
  list.push_back({"many_uses", {random_normal({2000, 2}, 19), indices({2000, 2}, 3)}, along(0, 3)});
  list.push_back(
      {"width_4097", {random_normal({3, 4097}, 20), indices({3, 4097}, 2)}, along(0, 2)});
  // More places than a thread keeps in its cache, so that columns go one by one.
  list.push_back(
      {"extent_40000", {random_normal({30, 2}, 21), indices({30, 2}, 40000)}, along(0, 40000)});
  list.push_back(
      {"two_calls",
       {random_normal({4, 3}, 22), indices({4, 3}, 2), indices({4, 3}, 5)},
       [](std::span<const Tensor> in) {
         return std::vector{scatter_add(in[0], in[1], 0, 2), scatter_add(in[0], in[2], 1, 5)};
       }});
  list.push_back({"empty",
                  {random_normal({3, 0}, 24), indices({3, 0}, 3), random_normal({2}, 25)},
                  beside_last(along(1, 3))});
  return list;
}

Numbers reference(const Shape& x, int axis, Index extent, const std::vector<Numbers>& in) {
  const Shape to = x.with(axis, extent);
  Numbers y(static_cast<std::size_t>(to.size()), 0.0L);
  each_index(x, [&](std::vector<Index> at, std::size_t n) {
    at[static_cast<std::size_t>(axis)] = static_cast<Index>(in[1][n]);
    y[place_in(to, at)] += in[0][n];
  });
  return y;
}

void values(const CheckValues& check) {
  struct Call {
    Shape x;
    int axis;
    Index extent;
  };
  for (const auto& [shape, axis, extent] : {Call{{1}, 0, 1},
                                            {{9}, 0, 5},
                                            {{3, 0}, 1, 4},
                                            {{0, 4}, 1, 2},
                                            {{5, 17}, 0, 3},
                                            {{3, 40}, 1, 17},
                                            {{2, 4, 4}, 1, 3},
                                            {{3, 4100}, 0, 2},
                                            {{3, 2}, 0, 40000}}) {
    const auto f = [axis = axis, extent = extent](std::span<const Tensor> in) {
      return scatter_add(in[0], in[1], axis, extent);
    };
    const auto plain = [x = shape, axis = axis, extent = extent](const auto& in) {
      return reference(x, axis, extent, in);
    };
    const Tensor x = random_normal(shape, 1);
    check(shape.text(), {x, indices(shape, extent)}, f, plain);
    if (x.size() > 0) {
      check("nan", {with_nan(x, x.size() / 2), indices(shape, extent)}, f, plain);
    }
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             return std::vector{random_normal(kTokens, 1), indices(kTokens, kFrames)};
           },
           along(1, kFrames)}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const int axis = d.axis(shape.rank());
  const int counted = from_first(axis, shape.rank());
  const Index least = shape.size() > 0 ? 1 : 0;
  const Index extent = std::max(least, d.extent(shape.outer(counted) * shape.inner(counted)));
  return {{x, d.indices(shape, extent)},
          along(axis, extent),
          fmt::format("scatter_add(@0, @1, {}, {})", axis, extent),
          {[=](const auto& in) { return reference(shape, counted, extent, in); }},
          [=](std::span<const Tensor> in) {
            return std::vector{scatter_add_composite(in[0], in[1], axis, extent)};
          }};
}

}  // namespace

const Facts scatter_add_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  scatter_add(zeros({2, 3}), indices({2, 2}), 1, 4);
                },
                [] {
                  scatter_add(zeros({2, 3}), indices({2, 3}), 2, 4);
                },
                [] {
                  scatter_add(zeros({2, 3}), indices({2, 3}), 1, -1);
                },
                [] {
                  scatter_add(zeros({2, 3}), zeros({2, 3}), 1, 4);
                },
                [] {
                  scatter_add(zeros({2, 3}), indices({2, 3}), 1, 0);
                }},
    .ulp = {{-1, 0.5, 0.5}, {0, 0.0, 0.0}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.5, 0.5, 7.2}, {0, 0.0, 0.0}},
};

}  // namespace posetape
