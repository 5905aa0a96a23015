#include <fmt/format.h>

#include <cmath>

#include "engine/ops.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto over = [](std::vector<int> axes, bool keepdims = false) {
    return [=](std::span<const Tensor> in) { return std::vector{sum(in[0], {axes, keepdims})}; };
  };
  std::vector<Case> list = {
      {"all", {random_normal({2, 3, 5}, 1)}, over({})},
      {"all_keepdims", {random_normal({2, 3}, 2)}, over({}, true)},
      {"scalar", {random_normal({}, 3)}, over({})},
      {"one_element", {random_normal({1}, 4)}, over({0})},
      {"vector_15", {random_normal({15}, 20)}, over({0})},
      {"vector_16", {random_normal({16}, 21)}, over({})},
      {"rows", {random_normal({4, 17}, 5)}, over({0})},
      {"columns", {random_normal({4, 33}, 6)}, over({-1})},
      {"columns_65", {random_normal({2, 65}, 22)}, over({1})},
      {"rows_63", {random_normal({2, 63}, 23)}, over({0}, true)},
      {"middle", {random_normal({2, 3, 4}, 7)}, over({1})},
      {"middle_keepdims", {random_normal({2, 3, 4}, 8)}, over({1}, true)},
      {"outer_and_inner", {random_normal({2, 3, 4}, 9)}, over({2, 0})},
      {"alternating", {random_normal({2, 3, 2, 4}, 10)}, over({0, -2})},
      {"in_training", {random_normal({2, 5, 17, 3}, 41)}, over({})},
      {"rank5_alternating", {random_normal({2, 2, 2, 2, 3}, 24)}, over({1, 3})},
      {"rank5_all", {random_normal({2, 1, 2, 2, 3}, 25)}, over({})},
      {"rank6_alternating", {random_normal({2, 2, 1, 2, 2, 3}, 26)}, over({-1, 1, 3}, true)},
      {"of_extent_one", {random_normal({3, 1, 2}, 11)}, over({1})},
      {"empty_sum",
       {random_normal({3, 0}, 12), random_normal({1}, 13)},
       [](std::span<const Tensor> in) {
         return std::vector{sum(in[0], {{1}}), sum(in[1])};
       }},
      {"empty_result", {random_normal({3, 0}, 27), random_normal({1}, 28)}, beside_last(over({0}))},
      // Rows are cut every 128; along the last axis, every 128 stretches of 256.
      {"rows_127", {random_normal({127, 2}, 29)}, over({0})},
      {"rows_128", {random_normal({128, 2}, 30)}, over({0})},
      {"rows_129", {random_normal({129, 2}, 31)}, over({0})},
      {"stretch_255", {random_normal({2, 255}, 32)}, over({1})},
      {"stretch_256", {random_normal({2, 256}, 33)}, over({1})},
      {"stretch_257", {random_normal({2, 257}, 34)}, over({1})},
      {"chunk_of_stretches", {random_normal({32768}, 35)}, over({0})},
      {"chunk_and_one", {random_normal({32769}, 36)}, over({0})},
      {"kept_4097", {random_normal({2, 4097}, 37)}, over({0})},
      {"many_rows", {random_normal({3000, 4}, 14)}, over({0})},
      {"long", {random_normal({2, 50000}, 15)}, over({1})},
      {"everything", {random_normal({9, 11, 400}, 16)}, over({})},
      {"tiny", {random_normal({3, 5}, 38, 1e-6)}, over({1})},
      {"huge", {random_normal({3, 5}, 39, 1e6)}, over({1})},
      {"mean",
       {random_normal({2, 3, 5}, 17)},
       [](std::span<const Tensor> in) {
         return std::vector{mean(in[0]), mean(in[0], {{1}}), mean(in[0], {{0, 2}, true})};
       }},
      {"var",
       {random_normal({2, 3, 5}, 18)},
       [](std::span<const Tensor> in) {
         return std::vector{var(in[0]), var(in[0], {{1}}), var(in[0], {{0, 2}, true})};
       }},
      {"two_calls",
       {random_normal({2, 3, 4}, 40)},
       [](std::span<const Tensor> in) {
         return std::vector{sum(in[0], {{0}}), sum(in[0], {{1, 2}})};
       }},
  };
  // Every set of axes, none of which means all.
  for (int set = 1; set < 8; ++set) {
    std::vector<int> axes;
    for (int axis = 0; axis < 3; ++axis) {
      if ((set >> axis & 1) != 0) axes.push_back(axis);
    }
    const Tensor x = random_normal({2, 3, 5}, 50);
    list.push_back({fmt::format("axes_{}", fmt::join(axes, "")), {x}, over(axes)});
    list.push_back({fmt::format("axes_{}_keepdims", fmt::join(axes, "")), {x}, over(axes, true)});
  }
  return list;
}

// The mean and the variance of columns, by their definitions.
// `kept`: the shape with 1 where it is summed.
Numbers added(const Shape& shape, const Shape& kept, const std::vector<Numbers>& in) {
  Numbers y(static_cast<std::size_t>(kept.size()), 0.0L);
  each_index(shape,
             [&](const std::vector<Index>& i, std::size_t n) { y[place_in(kept, i)] += in[0][n]; });
  return y;
}

void moments(const CheckValues& check) {
  const Tensor x = random_uniform({5, 4}, 3, 1, 2);
  const auto moment = [](const Numbers& v, std::size_t column, long double centre, int power) {
    long double total = 0;
    for (std::size_t r = 0; r < 5; ++r) total += std::pow(v[4 * r + column] - centre, power);
    return total / 5;
  };
  const auto means = [&](const std::vector<Numbers>& in) {
    Numbers y;
    for (std::size_t c = 0; c < 4; ++c) y.push_back(moment(in[0], c, 0, 1));
    return y;
  };
  check(
      "mean", {x}, [](std::span<const Tensor> in) { return mean(in[0], {{0}}); }, means);
  check(
      "var", {x}, [](std::span<const Tensor> in) { return var(in[0], {{0}}); },
      [&](const std::vector<Numbers>& in) {
        Numbers y = means(in);
        for (std::size_t c = 0; c < 4; ++c) y[c] = moment(in[0], c, y[c], 2);
        return y;
      });
}

void values(const CheckValues& check) {
  moments(check);
  for (const auto& [from, to] : repetitions()) {
    const Shape small = from;
    const Shape large = to;
    if (small.rank() != large.rank()) continue;
    std::vector<int> axes;
    for (int i = 0; i < small.rank(); ++i) {
      if (small[i] != large[i]) axes.push_back(i - small.rank());
    }
    if (axes.empty()) continue;
    const auto reference = [&](const auto& in) { return added(large, small, in); };
    // Sums of positive numbers, so that the relative error means something.
    const Tensor x = random_uniform(large, 2, 0, 1);
    const auto f = [&](std::span<const Tensor> in) {
      return of_shape(small, sum(in[0], {axes, true}));
    };
    check(large.text(), {x}, f, reference);
    if (x.size() > 0) check("nan", {with_nan(x, x.size() / 2)}, f, reference);
  }
}

std::vector<ModelCall> calls() {
  const auto tokens = [] { return std::vector{random_normal(kTokens, 1)}; };
  return {{"all", tokens, [](std::span<const Tensor> in) { return std::vector{sum(in[0])}; }},
          {"rows", tokens,
           [](std::span<const Tensor> in) {
             return std::vector{sum(in[0], {{0, 1, 2}, false})};
           }},
          {"columns", tokens, [](std::span<const Tensor> in) {
             return std::vector{sum(in[0], {{-1}, false})};
           }}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any();
  const Shape shape = d.shape_of(x);
  const SumOptions options{d.axes(shape.rank()), d.chance(0.5)};
  const Shape kept = kept_shape("sum", shape, options.axes);
  const bool averaged = kept.size() > 0 && shape.size() > 0 && d.chance(0.3);
  const auto reference = [=](const std::vector<Numbers>& in) {
    Numbers y = added(shape, kept, in);
    const Index terms = averaged ? shape.size() / kept.size() : 1;
    for (long double& v : y) v /= static_cast<long double>(terms);
    return y;
  };
  return {{x},
          [=](std::span<const Tensor> in) {
            return std::vector{averaged ? mean(in[0], options) : sum(in[0], options)};
          },
          fmt::format("{}(@0, {{{}, {}}})", averaged ? "mean" : "sum", braced(options.axes),
                      options.keepdims),
          {reference}};
}

}  // namespace

const Facts sum_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  sum(zeros({2, 3}), {{2}});
                },
                [] {
                  sum(zeros({2, 3}), {{1, -1}});
                }},
    .ulp = {{-1, 18.3, 0.6}, {0, 1.6, 1.3}, {1, 0.0, 0.0}},
    .drawn = {{-1, 13.6, 1.0, 12.1}, {0, 1.3, 0.5}},
};

}  // namespace posetape
