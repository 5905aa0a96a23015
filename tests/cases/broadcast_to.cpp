#include <fmt/format.h>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto to = [](const Shape& shape) {
    return [shape](std::span<const Tensor> in) { return std::vector{broadcast_to(in[0], shape)}; };
  };
  return {
      {"scalar", {random_normal({}, 1)}, to({17})},
      {"scalar_to_one", {random_normal({}, 2)}, to({1, 1})},
      {"scalar_to_rank6", {random_normal({}, 20)}, to({1, 2, 1, 2, 1, 3})},
      {"same", {random_normal({2, 3}, 3)}, to({2, 3})},
      {"new_axes_of_one", {random_normal({3}, 21)}, to({1, 1, 3})},
      {"rows", {random_normal({5}, 4)}, to({3, 2, 5})},
      {"rows_15", {random_normal({15}, 22)}, to({3, 15})},
      {"rows_16", {random_normal({1, 16}, 23)}, to({3, 16})},
      {"rows_65", {random_normal({65}, 24)}, to({2, 65})},
      {"columns", {random_normal({3, 1}, 5)}, to({3, 33})},
      {"columns_31", {random_normal({2, 1}, 25)}, to({2, 31})},
      {"columns_63", {random_normal({2, 1}, 26)}, to({2, 63})},
      {"first", {random_normal({1, 2, 3}, 27)}, to({4, 2, 3})},
      {"middle", {random_normal({2, 1, 3}, 6)}, to({2, 4, 3})},
      {"outer_and_inner", {random_normal({1, 3, 1}, 28)}, to({2, 3, 4})},
      {"alternating", {random_normal({2, 1, 3, 1}, 7)}, to({2, 4, 3, 5})},
      {"alternating_first", {random_normal({1, 3, 1, 2}, 29)}, to({2, 3, 4, 2})},
      {"rank5", {random_normal({2, 1, 2, 1, 3}, 30)}, to({2, 2, 2, 2, 3})},
      {"rank6", {random_normal({1, 2, 1, 2, 1, 2}, 31)}, to({2, 2, 2, 2, 2, 2})},
      // The sum is cut every 128 rows; along the last axis, every 128 stretches of 256.
      {"rows_127", {random_normal({2}, 32)}, to({127, 2})},
      {"rows_128", {random_normal({2}, 33)}, to({128, 2})},
      {"rows_129", {random_normal({2}, 34)}, to({129, 2})},
      {"stretch_255", {random_normal({2, 1}, 35)}, to({2, 255})},
      {"stretch_256", {random_normal({2, 1}, 36)}, to({2, 256})},
      {"stretch_257", {random_normal({2, 1}, 37)}, to({2, 257})},
      {"chunk_and_one", {random_normal({3, 1}, 38)}, to({3, 32769})},
      {"kept_4097", {random_normal({4097}, 39)}, to({2, 4097})},
      {"many_rows", {random_normal({3}, 8)}, to({4000, 3})},
      {"long_sum", {random_normal({2, 1}, 9)}, to({2, 50000})},
      {"many_outputs", {random_normal({300, 1, 4}, 10)}, to({300, 70, 4})},
      {"tiny", {random_normal({2, 1}, 40, 1e-6)}, to({2, 3})},
      {"huge", {random_normal({2, 1}, 41, 1e6)}, to({2, 3})},
      {"to_nothing", {random_normal({3, 1}, 11)}, to({3, 0}), zero_gradient({0}, kEmptyResult)},
      {"of_nothing",
       {random_normal({0, 1}, 42), random_normal({2}, 43)},
       beside_last(to({2, 0, 3}))},
      {"two_calls",
       {random_normal({3, 1}, 44)},
       [](std::span<const Tensor> in) {
         return std::vector{broadcast_to(in[0], {3, 4}), broadcast_to(in[0], {2, 3, 1})};
       }},
  };
}

Numbers reference(const Shape& from, const Shape& to, const std::vector<Numbers>& in) {
  Numbers y(static_cast<std::size_t>(to.size()));
  each_index(to,
             [&](const std::vector<Index>& i, std::size_t n) { y[n] = in[0][place_in(from, i)]; });
  return y;
}

void values(const CheckValues& check) {
  for (const auto& [from, to] : repetitions()) {
    const Shape small = from;
    const Shape large = to;
    check(
        large.text(), {random_normal(small, 1)},
        [&](std::span<const Tensor> in) { return broadcast_to(in[0], large); },
        [&](const auto& in) { return reference(small, large, in); });
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             return std::vector{random_normal({kBatch, 1, 1, kWidth}, 1)};
           },
           [](std::span<const Tensor> in) { return std::vector{broadcast_to(in[0], kTokens)}; }}};
}

DrawnCall draw(Draw& d) {
  const int x = d.any();
  const Shape from = d.shape_of(x);
  const Shape to = d.stretched(from);
  return {{x},
          [to](std::span<const Tensor> in) { return std::vector{broadcast_to(in[0], to)}; },
          fmt::format("broadcast_to(@0, {})", braced(to)),
          {[=](const auto& in) { return reference(from, to, in); }}};
}

}  // namespace

const Facts broadcast_to_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  broadcast_to(zeros({2, 3}), {3});
                },
                [] { broadcast_to(zeros({2}), {3}); }},
    .ulp = {{-1, 0.0, 0.0}, {0, 5.0, 0.5}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 3.9, 0.5}},
};

}  // namespace posetape
