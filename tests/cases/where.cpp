#include <array>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto call = [](const auto& op) -> TensorFunction {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1], in[2])}; };
  };
  // Differences do not reach from 1 to 0. A condition has no slope.
  const auto condition = [](const Shape& shape, std::uint64_t seed) {
    const Tensor c = random_uniform(shape, seed, 1, 2);
    for (Index i = 0; i < c.size(); i += 1 + i % 3) c.data<double>()[i] *= -1;
    return c;
  };
  const auto options = [&](std::vector<int> constant = {}) {
    GradcheckOptions o =
        with_composite(call(where_composite), zero_gradient({0}, "a condition has no slope"));
    o.constant = std::move(constant);
    return o;
  };
  const auto put = [&](const char* name, const Shape& c, const Shape& x, const Shape& y,
                       std::uint64_t seed, std::vector<int> constant = {}) {
    list.push_back({name,
                    {condition(c, seed), random_normal(x, seed + 1), random_normal(y, seed + 2)},
                    call(where),
                    options(std::move(constant))});
  };
  put("vector", {7}, {7}, {7}, 10);
  put("rank1_17", {17}, {17}, {17}, 20);
  put("rank2_33", {2, 33}, {2, 33}, {2, 33}, 30);
  put("rank3_65", {1, 2, 65}, {1, 2, 65}, {1, 2, 65}, 40);
  put("rank4", {2, 3, 1, 5}, {2, 3, 1, 5}, {2, 3, 1, 5}, 50);
  put("rank5", {1, 2, 1, 2, 3}, {1, 2, 1, 2, 3}, {1, 2, 1, 2, 3}, 60);
  put("rank6", {2, 1, 2, 1, 2, 3}, {2, 1, 2, 1, 2, 3}, {2, 1, 2, 1, 2, 3}, 70);
  put("block_4095", {4095}, {4095}, {4095}, 80);
  put("block_4096", {4096}, {4096}, {4096}, 90);
  put("block_4097", {4097}, {4097}, {4097}, 100);
  put("one_condition_a_row", {4, 1}, {4, 5}, {4, 5}, 110);
  put("scalar_second", {3, 7}, {3, 7}, {}, 120);
  put("scalar_first", {3, 5}, {1}, {3, 5}, 130);
  put("all_are_repeated", {4, 1, 1}, {3, 1}, {1, 5}, 140);
  put("first_constant", {7}, {7}, {7}, 150, {1});
  put("second_constant", {7}, {7}, {7}, 160, {2});
  put("condition_constant", {7}, {7}, {7}, 170, {0});
  // Both from one, as where(x, x, scale(x, -1)) = |x|.
  list.push_back({"of_its_own_condition",
                  {condition({9}, 180)},
                  [](std::span<const Tensor> in) {
                    return std::vector{where(in[0], in[0], scale(in[0], -3))};
                  },
                  with_composite(
                      [](std::span<const Tensor> in) {
                        return std::vector{where_composite(in[0], in[0], scale(in[0], -3))};
                      },
                      {})});
  list.push_back(
      {"empty",
       {random_normal({0}, 1), random_normal({0}, 2), random_normal({0}, 3), random_normal({2}, 4)},
       beside_last(call(where)),
       {}});
  return list;
}

Numbers reference(const std::array<Shape, 3>& shapes, const Shape& result,
                  const std::vector<Numbers>& in) {
  Numbers z(static_cast<std::size_t>(result.size()));
  each_index(result, [&](const std::vector<Index>& i, std::size_t n) {
    const std::size_t chosen = in[0][place_in(shapes[0], i)] > 0 ? 1 : 2;
    z[n] = in[chosen][place_in(shapes[chosen], i)];
  });
  return z;
}

void values(const CheckValues& check) {
  const std::array<Shape, 3> shapes[] = {{Shape{}, Shape{}, Shape{}},
                                         {Shape{17}, Shape{17}, Shape{17}},
                                         {Shape{4, 1}, Shape{4, 5}, Shape{5}},
                                         {Shape{3, 2, 1}, Shape{1, 2, 4}, Shape{3, 1, 4}},
                                         {Shape{5, 4001}, Shape{5, 4001}, Shape{}}};
  for (const auto& [c, x, y] : shapes) {
    const Shape shape = broadcast("test", broadcast("test", c, x), y);
    const auto plain = [&, shapes = std::array{c, x, y}](const auto& in) {
      return reference(shapes, shape, in);
    };
    const auto f = [&](std::span<const Tensor> in) {
      return of_shape(shape, where(in[0], in[1], in[2]));
    };
    const std::vector<Tensor> inputs{random_normal(c, 1), random_normal(x, 2), random_normal(y, 3)};
    check(shape.text(), inputs, f, plain);
    for (std::size_t i = 0; i < 3; ++i) {
      std::vector<Tensor> bad = inputs;
      bad[i] = with_nan(inputs[i], inputs[i].size() / 2);
      check("nan", bad, f, plain);
    }
  }
  check(
      "greater", {random_normal({4, 5}, 4), random_normal({5}, 5)},
      [](std::span<const Tensor> in) { return greater(in[0], in[1]); },
      [](const std::vector<Numbers>& in) {
        Numbers y;
        for (std::size_t i = 0; i < 20; ++i) y.push_back(in[0][i] > in[1][i % 5] ? 1 : 0);
        return y;
      });
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             return std::vector{random_normal(kTokens, 1), random_normal(kTokens, 2),
                                random_normal(kTokens, 3)};
           },
           [](std::span<const Tensor> in) { return std::vector{where(in[0], in[1], in[2])}; }}};
}

DrawnCall draw(Draw& d) {
  const int condition = d.any();
  const int x = d.of(d.partner(d.shape_of(condition)));
  const Shape both = broadcast("where", d.shape_of(condition), d.shape_of(x));
  const int y = d.of(d.partner(both));
  const std::array shapes{d.shape_of(condition), d.shape_of(x), d.shape_of(y)};
  const Shape result = broadcast("where", both, shapes[2]);
  const auto call = [](const auto& op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(in[0], in[1], in[2])}; };
  };
  return {{condition, x, y},     call(where),
          "where(@0, @1, @2)",   {[=](const auto& in) { return reference(shapes, result, in); }},
          call(where_composite), true};
}

}  // namespace

const Facts where_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] { where(zeros({2}), zeros({3}), zeros({3})); },
                [] { where(zeros({3}), zeros({2}), zeros({3})); },
                [] { where(indices({3}), zeros({3}), zeros({3})); }},
    .ulp = {{-1, 0.5, 0.5}, {0, 0.5, 0.5}, {1, 3.0, 0.3}, {2, 1.5, 0.4}, {3, 0.0, 0.0}},
    .drawn = {{-1, 0.0, 0.0, 0.0}, {0, 0.0, 0.0}, {1, 8.5, 0.5}, {2, 4.3, 0.5}},
};

}  // namespace posetape
