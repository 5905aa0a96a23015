#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto f = [](std::span<const Tensor> in) { return std::vector{gather(in[0], in[1])}; };
  const auto along = [](int axis) {
    return [axis](std::span<const Tensor> in) { return std::vector{gather(in[0], in[1], axis)}; };
  };
  const auto listed = [](std::vector<std::int32_t> values) {
    return Tensor::of<std::int32_t>({static_cast<Index>(values.size())}, values);
  };
  return {
      {"repeated", {random_normal({4, 3}, 1), indices({6}, 4)}, f},
      {"some_unused", {random_normal({50, 3}, 2), indices({2, 3}, 50)}, f},
      {"first_and_last", {random_normal({5, 3}, 20), listed({4, 0, 4})}, f},
      {"in_order", {random_normal({4, 3}, 21), listed({0, 1, 2, 3})}, f},
      {"reversed", {random_normal({4, 3}, 22), listed({3, 2, 1, 0})}, f},
      {"always_the_same", {random_normal({4, 3}, 23), listed({2, 2, 2, 2})}, f},
      {"grid", {random_normal({3, 5}, 3), indices({2, 3, 4}, 3)}, f},
      {"index_rank4", {random_normal({3, 2}, 24), indices({2, 1, 2, 3}, 3)}, f},
      {"index_rank5", {random_normal({3, 2}, 25), indices({1, 2, 1, 2, 2}, 3)}, f},
      {"one", {random_normal({1, 1}, 4), indices({}, 1)}, f},
      {"one_row", {random_normal({3, 4}, 26), indices({}, 3)}, f},
      {"one_column", {random_normal({5, 1}, 27), indices({7}, 5)}, f},
      {"width_15", {random_normal({2, 15}, 28), indices({3}, 2)}, f},
      {"width_16", {random_normal({2, 16}, 29), indices({3}, 2)}, f},
      {"width_17", {random_normal({2, 17}, 5), indices({3}, 2)}, f},
      {"width_33", {random_normal({1, 33}, 30), indices({3}, 1)}, f},
      {"width_65", {random_normal({2, 65}, 31), indices({3}, 2)}, f},
      {"width_4097", {random_normal({2, 4097}, 32), indices({3}, 2)}, f},
      // The sum over a row's uses is cut every 128 of them.
      {"uses_127", {random_normal({1, 2}, 33), indices({127}, 1)}, f},
      {"uses_128", {random_normal({1, 2}, 34), indices({128}, 1)}, f},
      {"uses_129", {random_normal({1, 2}, 35), indices({129}, 1)}, f},
      {"uses_2049", {random_normal({2, 2}, 36), indices({2049}, 2)}, f},
      {"many_uses", {random_normal({3, 4}, 6), indices({5000}, 3)}, f},
      {"many_rows", {random_normal({700, 3}, 7), indices({900}, 700)}, f},
      {"tiny", {random_normal({3, 4}, 37, 1e-6), indices({5}, 3)}, f},
      {"huge", {random_normal({3, 4}, 38, 1e6), indices({5}, 3)}, f},
      {"unused", {random_normal({3, 4}, 8), indices({0}, 3)}, f, zero_gradient({0}, kEmptyResult)},
      {"empty_table",
       {random_normal({0, 3}, 39), indices({0}, 1), random_normal({2}, 40)},
       beside_last(f)},
      {"no_columns",
       {random_normal({3, 0}, 41), indices({4}, 3), random_normal({2}, 42)},
       beside_last(f)},
      {"two_calls",
       {random_normal({4, 3}, 43), indices({6}, 4), listed({1, 1, 3})},
       [](std::span<const Tensor> in) {
         return std::vector{gather(in[0], in[1]), gather(in[0], in[2])};
       }},
      {"first_axis", {random_normal({4, 2, 3}, 44), indices({2, 3}, 4)}, along(0)},
      {"middle_axis", {random_normal({2, 5, 3}, 45), indices({7}, 5)}, along(1)},
      {"last_axis", {random_normal({2, 3, 5}, 46), indices({2, 2}, 5)}, along(-1)},
      {"one_of_an_axis", {random_normal({2, 3, 5}, 47), indices({}, 3)}, along(1)},
      {"of_a_vector", {random_normal({5}, 48), indices({4}, 5)}, along(0)},
      {"axis_of_rank6", {random_normal({1, 2, 1, 3, 2, 2}, 49), indices({4}, 3)}, along(3)},
  };
}

// x as [outer, extent, inner].
Numbers reference(const Shape& x, int axis, const std::vector<Numbers>& in) {
  Numbers y;
  const Index inner = x.inner(axis);
  for (Index o = 0; o < x.outer(axis); ++o) {
    for (const long double v : in[1]) {
      for (Index i = 0; i < inner; ++i) {
        const Index at = (o * x[axis] + static_cast<Index>(v)) * inner + i;
        y.push_back(in[0][static_cast<std::size_t>(at)]);
      }
    }
  }
  return y;
}

void values(const CheckValues& check) {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{7}, Shape{2, 3}, Shape{2000}}) {
    for (const Index width : {0, 1, 17}) {
      check(
          shape.text(), {random_normal({4, width}, 1), indices(shape, 4)},
          [](std::span<const Tensor> in) { return gather(in[0], in[1]); },
          [&](const auto& in) {
            return reference({4, width}, 0, in);
          });
    }
  }
  for (const auto& [axis, shape] : {std::pair{0, Shape{2, 2}}, {1, Shape{5}}, {-1, Shape{}}}) {
    const Shape x{2, 4, 3};
    const int counted = from_first(axis, 3);
    check(
        fmt::format("axis {}", axis), {random_normal(x, 2), indices(shape, x[counted])},
        [axis = axis](std::span<const Tensor> in) { return gather(in[0], in[1], axis); },
        [&](const auto& in) { return reference(x, counted, in); });
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             std::vector<std::int32_t> index(kBatch * kFrames * kJoints);
             for (std::size_t i = 0; i < index.size(); ++i) {
               index[i] = static_cast<std::int32_t>(i % 5);
             }
             const auto count = static_cast<Index>(index.size());
             return std::vector{
                 random_normal({5, kWidth}, 1),
                 Tensor::of<std::int32_t>({count}, std::span<const std::int32_t>(index))};
           },
           [](std::span<const Tensor> in) { return std::vector{gather(in[0], in[1])}; }}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const int axis = shape.rank() == 2 && d.chance(0.7) ? 0 : d.axis(shape.rank());
  const int counted = from_first(axis, shape.rank());
  const Index beside = shape.outer(counted) * shape.inner(counted);
  std::vector<Index> dims;
  for (Index rank = d.below(2 + kMaxRank - shape.rank()); rank > 0; --rank) {
    dims.push_back(d.extent(beside * Shape(dims).size()));
  }
  if (shape[counted] == 0) dims = {0};
  const bool rows = shape.rank() == 2 && counted == 0 && axis == 0 && d.chance(0.5);
  return {{x, d.indices(Shape(dims), shape[counted])},
          [=](std::span<const Tensor> in) {
            return std::vector{rows ? gather(in[0], in[1]) : gather(in[0], in[1], axis)};
          },
          rows ? "gather(@0, @1)" : fmt::format("gather(@0, @1, {})", axis),
          {[=](const auto& in) { return reference(shape, counted, in); }}};
}

}  // namespace

const Facts gather_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] { gather(zeros({2}), indices({1})); },
                [] {
                  gather(zeros({0, 2}), indices({1}));
                },
                [] {
                  gather(zeros({2, 3}), indices({1}), 2);
                },
                [] {
                  gather(zeros({2, 3, 1, 1}), indices({1, 1, 1, 1}), 0);
                }},
    .ulp = {{-1, 0.0, 0.0}, {0, 4.3, 0.5}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 6.2, 0.5}},
};

}  // namespace posetape
