#include <fmt/format.h>

#include <algorithm>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto by = [](std::vector<int> axes) {
    return [axes](std::span<const Tensor> in) { return std::vector{transpose(in[0], axes)}; };
  };
  std::vector<Case> list = {
      {"matrix", {random_normal({3, 5}, 1)}, by({1, 0})},
      // Memory is walked in tiles of 32 by 32.
      {"tiles", {random_normal({33, 65}, 2)}, by({1, 0})},
      {"tile_less_one", {random_normal({31, 31}, 20)}, by({1, 0})},
      {"one_tile", {random_normal({32, 32}, 21)}, by({1, 0})},
      {"tile_and_one", {random_normal({33, 32}, 22)}, by({1, 0})},
      {"two_tiles", {random_normal({2, 63}, 23)}, by({1, 0})},
      {"tiles_of_a_batch", {random_normal({2, 33, 3}, 24)}, by({0, 2, 1})},
      {"tiles_across", {random_normal({33, 2, 3}, 25)}, by({2, 1, 0})},
      {"scalar", {random_normal({}, 26)}, by({})},
      {"rank1", {random_normal({17}, 3)}, by({0})},
      {"one_element", {random_normal({1, 1}, 4)}, by({1, 0})},
      {"row", {random_normal({1, 15}, 27)}, by({1, 0})},
      {"column", {random_normal({16, 1}, 28)}, by({1, 0})},
      {"identity", {random_normal({2, 3, 4}, 5)}, by({0, 1, 2})},
      {"heads", {random_normal({2, 3, 4, 5}, 6)}, by({0, 2, 1, 3})},
      {"last_two", {random_normal({2, 3, 17, 2}, 7)}, by({0, 1, -1, -2})},
      {"reverse", {random_normal({2, 3, 4, 5}, 8)}, by({3, 2, 1, 0})},
      {"cycle", {random_normal({4, 1, 3, 2}, 9)}, by({2, 0, 3, 1})},
      {"merged_axes", {random_normal({2, 3, 2, 2}, 29)}, by({2, 3, 0, 1})},
      {"rank5", {random_normal({2, 1, 3, 2, 3}, 30)}, by({3, 0, 4, 1, 2})},
      {"rank5_reverse", {random_normal({1, 2, 3, 2, 2}, 31)}, by({4, 3, 2, 1, 0})},
      {"rank6", {random_normal({2, 2, 2, 2, 2, 3}, 10)}, by({5, 1, 3, 0, 4, 2})},
      {"rank6_reverse", {random_normal({2, 1, 2, 2, 2, 3}, 32)}, by({5, 4, 3, 2, 1, 0})},
      {"block_4097", {random_normal({4097, 2}, 33)}, by({1, 0})},
      {"large", {random_normal({40, 30, 50}, 11)}, by({2, 0, 1})},
      {"in_training", {random_normal({2, 3, 5, 17}, 39)}, by({0, 3, 1, 2})},
      {"in_training_rows", {random_normal({2, 5, 17, 3}, 41)}, by({0, 2, 3, 1})},
      {"tiny", {random_normal({3, 5}, 34, 1e-6)}, by({1, 0})},
      {"huge", {random_normal({3, 5}, 35, 1e6)}, by({1, 0})},
      {"empty", {random_normal({3, 0}, 36), random_normal({2}, 37)}, beside_last(by({1, 0}))},
      {"there_and_back",
       {random_normal({3, 4}, 12)},
       [](std::span<const Tensor> in) {
         const Tensor y = transpose(in[0], {1, 0});
         return std::vector{y, mul(transpose(y, {1, 0}), in[0])};
       }},
      {"two_calls",
       {random_normal({2, 3, 4}, 38)},
       [](std::span<const Tensor> in) {
         return std::vector{transpose(in[0], {1, 0, 2}), transpose(in[0], {2, 1, 0})};
       }},
  };
  std::vector<int> axes = {0, 1, 2};
  while (std::next_permutation(axes.begin(), axes.end())) {
    list.push_back(
        {fmt::format("axes_{}", fmt::join(axes, "")), {random_normal({2, 3, 5}, 40)}, by(axes)});
  }
  return list;
}

Numbers reference(const Shape& from, const std::vector<int>& order,
                  const std::vector<Numbers>& in) {
  Shape to = from;
  for (int i = 0; i < from.rank(); ++i) to = to.with(i, from[order[static_cast<std::size_t>(i)]]);
  Numbers y(in[0].size());
  each_index(to, [&](const std::vector<Index>& i, std::size_t n) {
    std::vector<Index> source(i.size());
    for (std::size_t k = 0; k < i.size(); ++k) {
      source[static_cast<std::size_t>(from_first(order[k], from.rank()))] = i[k];
    }
    y[n] = in[0][place_in(from, source)];
  });
  return y;
}

void values(const CheckValues& check) {
  const std::pair<Shape, std::vector<int>> all[] = {
      {{}, {}},
      {{5}, {0}},
      {{3, 5}, {1, 0}},
      {{33, 65}, {1, 0}},
      {{0, 3}, {1, 0}},
      {{3, 0}, {1, 0}},
      {{2, 3, 4}, {2, 0, 1}},
      {{2, 3, 4}, {0, 1, 2}},
      {{2, 3, 4}, {1, 0, 2}},
      {{2, 3, 4, 5}, {0, -2, 1, 3}},
      {{2, 3, 4, 5}, {3, 2, 1, 0}},
      {{1, 7, 1, 40}, {3, 2, 1, 0}},
      {{2, 3, 2, 3, 2, 3}, {5, 1, 3, 0, 4, 2}},
      {{200, 70, 3}, {2, 1, 0}},
  };
  for (const auto& [shape, axes] : all) {
    const Shape from = shape;
    const std::vector<int> order = axes;
    check(
        from.text(), {random_normal(from, 1)},
        [&](std::span<const Tensor> in) { return transpose(in[0], order); },
        [&](const auto& in) { return reference(from, order, in); });
  }
}

std::vector<ModelCall> calls() {
  return {{"", [] { return std::vector{random_normal(kTokens, 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{transpose(in[0], {0, 2, 1, 3})};
           }}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(d.chance(0.9) ? 2 : 0);
  const Shape from = d.shape_of(x);
  std::vector<int> order;
  for (int i = 0; i < from.rank(); ++i) {
    const int axis = d.chance(0.2) ? i - from.rank() : i;
    order.insert(order.begin() + d.below(i + 1), axis);
  }
  return {{x},
          [order](std::span<const Tensor> in) { return std::vector{transpose(in[0], order)}; },
          fmt::format("transpose(@0, {})", braced(order)),
          {[=](const auto& in) { return reference(from, order, in); }}};
}

}  // namespace

const Facts transpose_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  transpose(zeros({2, 3}), {0});
                },
                [] {
                  transpose(zeros({2, 3}), {0, 0});
                },
                [] {
                  transpose(zeros({2, 3}), {0, 2});
                }},
    .ulp = {{-1, 0.4, 0.4}, {0, 0.4, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}},
};

}  // namespace posetape
