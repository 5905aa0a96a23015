#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/ops.hpp"
#include "engine/ops/reduced_shape.hpp"
#include "engine/rng.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

// Numbers from -1 to 1 of which no two are closer than 2 / size, in a random order: no step of the
// differences makes another one the largest.
Tensor apart(const Shape& shape, std::uint64_t seed) {
  const Tensor x = Tensor::empty(shape, DType::f64);
  const auto size = static_cast<int>(x.size());
  const std::vector<int> order = Random(seed, Stream::test).permutation(size);
  for (int i = 0; i < size; ++i) {
    x.data<double>()[i] = 2.0 * order[static_cast<std::size_t>(i)] / size - 1;
  }
  return x;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  using Reduction = std::function<Tensor(const Tensor&, const SumOptions&)>;
  const auto over = [](const Reduction& op, std::vector<int> axes, bool keepdims) {
    return [=](std::span<const Tensor> in) { return std::vector{op(in[0], {axes, keepdims})}; };
  };
  const auto put = [&](const std::string& name, const Shape& shape, std::uint64_t seed,
                       const std::vector<int>& axes, bool keepdims = false,
                       const Reduction& op = Reduction(max),
                       const Reduction& composite = Reduction(max_composite)) {
    const double step = 0.2 / static_cast<double>(shape.size());
    list.push_back({name,
                    {apart(shape, seed)},
                    over(op, axes, keepdims),
                    with_composite(over(composite, axes, keepdims), steps_from(step))});
  };
  put("all", {2, 3, 5}, 1, {});
  put("all_keepdims", {2, 3}, 2, {}, true);
  put("scalar", {}, 3, {});
  put("one_element", {1}, 4, {0});
  put("vector_15", {15}, 5, {0});
  put("vector_16", {16}, 6, {});
  put("rows", {4, 17}, 7, {0});
  put("columns", {4, 33}, 8, {-1});
  put("columns_65", {2, 65}, 9, {1});
  put("rows_63", {2, 63}, 10, {0}, true);
  put("middle", {2, 3, 4}, 11, {1});
  put("outer_and_inner", {2, 3, 4}, 12, {2, 0});
  put("alternating", {2, 3, 2, 4}, 13, {0, -2});
  put("rank5", {2, 2, 2, 2, 3}, 14, {1, 3});
  put("rank6", {2, 2, 1, 2, 2, 3}, 15, {-1, 1, 3}, true);
  put("of_extent_one", {3, 1, 2}, 16, {1});
  put("row_255", {2, 255}, 17, {1});
  put("row_256", {2, 256}, 18, {1});
  put("row_257", {2, 257}, 19, {1});
  put("row_4097", {1, 4097}, 20, {1});
  put("kept_4097", {2, 4097}, 21, {0});
  put("many_rows", {1500, 3}, 22, {1});
  const Reduction min_composite = [](const Tensor& x, const SumOptions& o) {
    return scale(max_composite(scale(x, -1), o), -1);
  };
  put("min", {3, 5}, 23, {1}, false, Reduction(min), min_composite);
  put("min_all", {3, 5}, 24, {}, true, Reduction(min), min_composite);
  const TensorFunction two = [](std::span<const Tensor> in) {
    return std::vector{max(in[0], {{0}}), max(in[0], {{1, 2}})};
  };
  list.push_back({"two_calls", {apart({2, 3, 4}, 25)}, two, steps_from(0.01)});
  const TensorFunction last = over(Reduction(max), {1}, false);
  list.push_back(
      {"empty_result", {random_normal({0, 3}, 26), random_normal({2}, 27)}, beside_last(last)});
  // To the first of equal ones.
  GradcheckOptions tied = with_composite(over(Reduction(max_composite), {}, false));
  tied.kink = true;
  tied.reason = "there is no slope where two are the largest; the gradient goes to the first";
  list.push_back({"tied",
                  {Tensor::of<double>({2, 3}, std::vector<double>{0, 2, 1, 2, 2, -1})},
                  over(Reduction(max), {}, false),
                  tied});
  // A NaN counts as the largest, which no derivative tells.
  for (Case& c : list) c.cancels = true;
  return list;
}

// `kept`: the shape with 1 where it is reduced. The smallest, where `sign` is -1.
Numbers largest_of(const Shape& shape, const Shape& kept, int sign,
                   const std::vector<Numbers>& in) {
  Numbers y(static_cast<std::size_t>(kept.size()), -HUGE_VALL * sign);
  each_index(shape, [&](const std::vector<Index>& i, std::size_t n) {
    long double& best = y[place_in(kept, i)];
    if (in[0][n] * sign > best * sign || std::isnan(in[0][n])) best = in[0][n];
  });
  return y;
}

void values(const CheckValues& check) {
  for (const auto& [from, to] : repetitions()) {
    const Shape small = from;
    const Shape large = to;
    if (small.rank() != large.rank() || large.size() == 0) continue;
    std::vector<int> axes;
    for (int i = 0; i < small.rank(); ++i) {
      if (small[i] != large[i]) axes.push_back(i - small.rank());
    }
    if (axes.empty()) continue;
    const auto reference = [&](const auto& in) { return largest_of(large, small, 1, in); };
    const Tensor x = random_normal(large, 2);
    const auto f = [&](std::span<const Tensor> in) {
      return of_shape(small, max(in[0], {axes, true}));
    };
    check(large.text(), {x}, f, reference);
    check("nan", {with_nan(x, x.size() / 2)}, f, reference);
    // What is not chosen is not touched, -infinity neither.
    check("-inf", {Tensor::full(large, -HUGE_VAL, DType::f64)}, f, reference);
  }
}

std::vector<ModelCall> calls() {
  const auto tokens = [] { return std::vector{random_normal(kTokens, 1)}; };
  return {{"rows", tokens,
           [](std::span<const Tensor> in) {
             return std::vector{max(in[0], {{0, 1}, false})};
           }},
          {"columns", tokens, [](std::span<const Tensor> in) {
             return std::vector{max(in[0], {{-1}, false})};
           }}};
}

DrawnCall draw(Draw& d) {
  // Of nothing there is none.
  int x = d.any();
  if (d.shape_of(x).size() == 0) x = d.of({3});
  const Shape shape = d.shape_of(x);
  const SumOptions options{d.axes(shape.rank()), d.chance(0.5)};
  const Shape kept = kept_shape("max", shape, options.axes);
  const bool smallest = d.chance(0.3);
  const auto call = [=](const auto& op) {
    return [=](std::span<const Tensor> in) { return std::vector{op(in[0], options)}; };
  };
  DrawnCall drawn{{x},
                  smallest ? TensorFunction(call(min)) : call(max),
                  fmt::format("{}(@0, {{{}, {}}})", smallest ? "min" : "max", braced(options.axes),
                              options.keepdims),
                  {[=](const auto& in) { return largest_of(shape, kept, smallest ? -1 : 1, in); }}};
  if (!smallest) drawn.composite = call(max_composite);
  drawn.kink = true;
  return drawn;
}

}  // namespace

const Facts max_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  max(zeros({2, 3}), {{2}});
                },
                [] {
                  max(zeros({2, 3}), {{1, -1}});
                },
                [] {
                  max(zeros({2, 0}), {{1}});
                }},
    .ulp = {{-1, 0.0, 0.0}, {0, 0.0, 0.0}, {1, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}},
};

}  // namespace posetape
