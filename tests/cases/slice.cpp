#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto of = [](int axis, Index begin, Index end) {
    return [=](std::span<const Tensor> in) { return std::vector{slice(in[0], axis, begin, end)}; };
  };
  std::vector<Case> list = {
      {"vector", {random_normal({17}, 1)}, of(0, 3, 9)},
      {"all", {random_normal({2, 3}, 2)}, of(1, 0, 3)},
      {"one", {random_normal({3, 4}, 3)}, of(0, 1, 2)},
      {"one_element", {random_normal({1}, 4)}, of(0, 0, 1)},
      {"one_of_many", {random_normal({65}, 20)}, of(0, 64, 65)},
      {"head", {random_normal({3, 33}, 5)}, of(-1, 0, 16)},
      {"tail", {random_normal({3, 33}, 6)}, of(-1, 17, 33)},
      {"width_15", {random_normal({2, 17}, 21)}, of(1, 1, 16)},
      {"width_31", {random_normal({2, 33}, 22)}, of(1, 1, 32)},
      {"width_63", {random_normal({1, 65}, 23)}, of(1, 1, 64)},
      {"middle", {random_normal({2, 5, 4}, 7)}, of(1, 2, 4)},
      {"rank4", {random_normal({2, 3, 4, 3}, 8)}, of(2, 1, 3)},
      {"in_training", {random_normal({2, 5, 17, 3}, 34)}, of(1, 1, 5)},
      {"rank5", {random_normal({2, 1, 3, 1, 3}, 24)}, of(2, 1, 2)},
      {"rank6", {random_normal({1, 2, 1, 3, 1, 3}, 25)}, of(-3, 0, 2)},
      {"block_4097", {random_normal({1, 4099}, 26)}, of(1, 1, 4098)},
      {"long_rows", {random_normal({2, 15000}, 9)}, of(1, 4000, 13000)},
      {"many_rows", {random_normal({5000, 3}, 27)}, of(1, 1, 2)},
      {"tiny", {random_normal({2, 5}, 28, 1e-6)}, of(1, 1, 4)},
      {"huge", {random_normal({2, 5}, 29, 1e6)}, of(1, 1, 4)},
      {"nothing", {random_normal({3, 4}, 30)}, of(1, 4, 4), zero_gradient({0}, kEmptyResult)},
      {"of_nothing", {random_normal({0, 4}, 31), random_normal({2}, 32)}, beside_last(of(1, 1, 3))},
      {"beside_nothing",
       {random_normal({3, 4}, 10)},
       [](std::span<const Tensor> in) {
         return std::vector{slice(in[0], 1, 2, 2), in[0]};
       }},
      // Parts of one tensor: the second gradient is added onto the first one's zeros.
      {"parts",
       {random_normal({2, 7}, 11)},
       [](std::span<const Tensor> in) {
         return std::vector{mul(slice(in[0], 1, 0, 4), slice(in[0], 1, 3, 7))};
       }},
      {"two_calls",
       {random_normal({3, 5}, 33)},
       [](std::span<const Tensor> in) {
         return std::vector{slice(in[0], 1, 0, 3), slice(in[0], 0, 1, 3)};
       }},
  };
  for (int axis = 0; axis < 3; ++axis) {
    const Tensor x = random_normal({4, 4, 4}, static_cast<std::uint64_t>(40 + axis));
    list.push_back({fmt::format("begin_axis_{}", axis), {x}, of(axis, 0, 2)});
    list.push_back({fmt::format("middle_axis_{}", axis), {x}, of(axis, 1, 3)});
    list.push_back({fmt::format("end_axis_{}", axis), {x}, of(axis, 2, 4)});
  }
  return list;
}

void values(const CheckValues& check) {
  // Each part sliced out of the whole is what went in.
  for (const auto& [shapes, axis] : joined_parts()) {
    const std::vector<Shape> parts = shapes;
    const int along = axis < 0 ? axis + parts[0].rank() : axis;
    std::vector<Tensor> inputs;
    for (const Shape& s : parts) inputs.push_back(random_normal(s, 10 + inputs.size()));
    Index begin = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      check(
          parts[p].text(), inputs,
          [&](std::span<const Tensor> in) {
            return slice(concat(in, along), along, begin, begin + parts[p][along]);
          },
          [&](const auto& in) { return in[p]; });
      begin += parts[p][along];
    }
  }
}

std::vector<ModelCall> calls() {
  return {{"", [] { return std::vector{random_normal(kTokens.with(3, 3 * kWidth), 1)}; },
           [](std::span<const Tensor> in) {
             return std::vector{slice(in[0], -1, 2 * kWidth, 3 * kWidth)};
           }}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const int axis = d.axis(shape.rank());
  const Index extent = shape[axis];
  // Nothing, at times.
  const Index least = extent > 0 && !d.chance(0.05) ? 1 : 0;
  const Index begin = d.below(extent - least + 1);
  const Index end = begin + least + d.below(extent - begin - least + 1);
  const auto reference = [=](const std::vector<Numbers>& in) {
    const int counted = from_first(axis, shape.rank());
    const Shape to = shape.with(counted, end - begin);
    Numbers y(static_cast<std::size_t>(to.size()));
    each_index(to, [&](std::vector<Index> i, std::size_t n) {
      i[static_cast<std::size_t>(counted)] += begin;
      Index at = 0;
      for (int k = 0; k < shape.rank(); ++k) at = at * shape[k] + i[static_cast<std::size_t>(k)];
      y[n] = in[0][static_cast<std::size_t>(at)];
    });
    return y;
  };
  return {{x},
          [=](std::span<const Tensor> in) { return std::vector{slice(in[0], axis, begin, end)}; },
          fmt::format("slice(@0, {}, {}, {})", axis, begin, end),
          {reference}};
}

}  // namespace

const Facts slice_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  slice(zeros({2, 3}), 2, 0, 1);
                },
                [] {
                  slice(zeros({2, 3}), 1, 0, 4);
                },
                [] {
                  slice(zeros({2, 3}), 1, 2, 1);
                },
                [] {
                  slice(zeros({2, 3}), 1, -1, 1);
                }},
    .ulp = {{-1, 0.4, 0.3}, {0, 0.5, 0.4}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}},
};

}  // namespace posetape
