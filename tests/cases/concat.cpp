#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto along = [](int axis) {
    return [axis](std::span<const Tensor> in) { return std::vector{concat(in, axis)}; };
  };
  const std::vector<Tensor> three = {random_normal({2, 1}, 60), random_normal({2, 3}, 61),
                                     random_normal({2, 2}, 62)};
  std::vector<Case> list = {
      {"vectors", {random_normal({3}, 1), random_normal({17}, 2)}, along(0)},
      {"one_input", {random_normal({2, 3}, 3)}, along(1)},
      {"one_element", {random_normal({1}, 4), random_normal({1}, 5)}, along(-1)},
      {"rows", {random_normal({2, 5}, 6), random_normal({3, 5}, 7)}, along(0)},
      {"columns",
       {random_normal({3, 2}, 8), random_normal({3, 1}, 9), random_normal({3, 4}, 10)},
       along(1)},
      {"middle", {random_normal({2, 3, 4}, 11), random_normal({2, 1, 4}, 12)}, along(1)},
      {"rank4_last", {random_normal({2, 3, 2, 3}, 13), random_normal({2, 3, 2, 2}, 14)}, along(-1)},
      {"rank5_middle",
       {random_normal({2, 1, 2, 1, 3}, 20), random_normal({2, 1, 1, 1, 3}, 21)},
       along(2)},
      {"rank6_first",
       {random_normal({1, 2, 1, 2, 1, 3}, 22), random_normal({2, 2, 1, 2, 1, 3}, 23)},
       along(-6)},
      {"tails",
       {random_normal({2, 15}, 24), random_normal({2, 16}, 25), random_normal({2, 17}, 26)},
       along(1)},
      {"tails_63_65", {random_normal({1, 63}, 27), random_normal({1, 65}, 28)}, along(1)},
      {"with_an_empty_one", {random_normal({2, 0}, 15), random_normal({2, 3}, 16)}, along(1)},
      {"empty_between",
       {random_normal({2, 2}, 29), random_normal({2, 0}, 30), random_normal({2, 3}, 31)},
       along(1)},
      {"empty_rows",
       {random_normal({0, 2}, 32), random_normal({0, 3}, 33), random_normal({2}, 34)},
       beside_last(along(1))},
      {"block_4097", {random_normal({1, 4097}, 35), random_normal({1, 4095}, 36)}, along(1)},
      {"long_rows", {random_normal({2, 5000}, 17), random_normal({2, 9000}, 18)}, along(1)},
      {"many_rows", {random_normal({5000, 1}, 37), random_normal({5000, 2}, 38)}, along(1)},
      {"first_constant", three, along(1), constant_inputs({0})},
      {"second_constant", three, along(1), constant_inputs({1})},
      {"third_constant", three, along(1), constant_inputs({2})},
      {"tiny", {random_normal({2, 2}, 39, 1e-6), random_normal({2, 3}, 40, 1e-6)}, along(1)},
      {"huge", {random_normal({2, 2}, 43, 1e6), random_normal({2, 3}, 44, 1e6)}, along(1)},
      {"same_tensor_three_times",
       {random_normal({2, 3}, 19)},
       [](std::span<const Tensor> in) {
         return std::vector{concat({in[0], in[0], in[0]}, 1), in[0]};
       }},
      {"two_calls",
       {random_normal({2, 3}, 41), random_normal({2, 3}, 42)},
       [](std::span<const Tensor> in) {
         return std::vector{concat({in[0], in[1]}, 0), concat({in[1], in[0]}, 1)};
       }},
  };
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<Tensor> inputs;
    for (Index count = 1; count <= 3; ++count) {
      inputs.push_back(random_normal(Shape{2, 3, 2}.with(axis, count),
                                     static_cast<std::uint64_t>(50 + 3 * axis + count)));
      list.push_back({fmt::format("inputs_{}_axis_{}", count, axis), inputs, along(axis)});
    }
  }
  return list;
}

Numbers reference(const std::vector<Shape>& parts, int along, const Shape& whole,
                  const std::vector<Numbers>& in) {
  Numbers y(static_cast<std::size_t>(whole.size()));
  each_index(whole, [&](std::vector<Index> i, std::size_t n) {
    std::size_t part = 0;
    Index& k = i[static_cast<std::size_t>(along)];
    while (k >= parts[part][along]) k -= parts[part++][along];
    y[n] = in[part][place_in(parts[part], i)];
  });
  return y;
}

void values(const CheckValues& check) {
  for (const auto& [shapes, axis] : joined_parts()) {
    const std::vector<Shape> parts = shapes;
    const int along = axis < 0 ? axis + parts[0].rank() : axis;
    std::vector<Tensor> inputs;
    Index total = 0;
    for (const Shape& s : parts) {
      inputs.push_back(random_normal(s, 10 + inputs.size()));
      total += s[along];
    }
    const Shape whole = parts[0].with(along, total);
    check(
        whole.text(), inputs,
        [&](std::span<const Tensor> in) { return concat(in, along - whole.rank()); },
        [&](const auto& in) { return reference(parts, along, whole, in); });
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             return std::vector{random_normal(kPoses, 1), random_normal(kPoses.with(3, 2), 2)};
           },
           [](std::span<const Tensor> in) {
             return std::vector{concat({in[0], in[1]}, -1)};
           }}};
}

DrawnCall draw(Draw& d) {
  DrawnCall call;
  call.operands = {d.any(1)};
  const Shape first = d.shape_of(call.operands[0]);
  const int axis = d.axis(first.rank());
  const int along = from_first(axis, first.rank());
  std::vector<Shape> parts{first};
  Shape whole = first;
  call.text = "concat({@0";
  for (Index more = d.below(3); more > 0; --more) {
    const Index beside = first.outer(along) * first.inner(along);
    const Shape part = d.chance(0.3) ? first : first.with(along, d.extent(beside));
    call.text += fmt::format(", @{}", parts.size());
    call.operands.push_back(d.of(part));
    parts.push_back(part);
    whole = whole.with(along, whole[along] + part[along]);
  }
  call.text += fmt::format("}}, {})", axis);
  call.f = [axis](std::span<const Tensor> in) { return std::vector{concat(in, axis)}; };
  call.references = {[=](const auto& in) { return reference(parts, along, whole, in); }};
  return call;
}

}  // namespace

const Facts concat_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] { concat(std::span<const Tensor>(), 0); },
                [] {
                  concat({zeros({2, 3}), zeros({3, 3})}, 1);
                },
                [] {
                  concat({zeros({2}), zeros({2, 2})}, 0);
                },
                [] { concat({zeros({2})}, 1); }},
    .ulp = {{-1, 0.0, 0.0}, {0, 0.8, 0.6}, {1, 0.0, 0.0}, {2, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}, {1, 0.0, 0.0}, {2, 0.0, 0.0}},
};

}  // namespace posetape
