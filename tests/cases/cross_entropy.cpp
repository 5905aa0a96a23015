#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

constexpr std::int32_t kIgnored = -100;

Tensor classes_of(const Shape& shape, Index count) {
  return indices(shape, count);
}

// The same with some that are ignored, among them the first and the last.
Tensor some_ignored(const Shape& shape, Index count) {
  Tensor t = indices(shape, count);
  for (Index i = 0; i < t.size(); i += 3) t.data<std::int32_t>()[i] = kIgnored;
  t.data<std::int32_t>()[t.size() - 1] = kIgnored;
  return t;
}

Tensor of_all(const Tensor& logits, const Tensor& classes) {
  return cross_entropy(logits, classes);
}
Tensor but_ignored(const Tensor& logits, const Tensor& classes) {
  return cross_entropy(logits, classes, kIgnored);
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto call = [](const Binary& op) { return elementwise(op); };
  const auto put_as = [&](const char* name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    list.push_back({name, std::move(inputs), make(Binary(of_all)),
                    with_composite(make(Binary(cross_entropy_composite)), std::move(options))});
  };
  const auto put = [&](const char* name, const Shape& rows, Index count, std::uint64_t seed,
                       double scale = 1, double shift = 0, GradcheckOptions options = {}) {
    std::vector<Index> dims;
    for (int i = 0; i < rows.rank(); ++i) dims.push_back(rows[i]);
    dims.push_back(count);
    put_as(name, {random_normal(Shape(dims), seed, scale, shift), classes_of(rows, count)}, call,
           std::move(options));
  };
  put("one_row", {}, 5, 1);
  put("width_2", {4}, 2, 2);
  put("width_15", {3}, 15, 3);
  put("width_16", {3}, 16, 4);
  put("width_17", {3}, 17, 5);
  put("width_33", {2}, 33, 6);
  put("width_65", {2}, 65, 7);
  put("row_4097", {1}, 4097, 8, 1, 0, steps_from(1));
  put("row_5000", {2}, 5000, 9, 1, 0, steps_from(1));
  put("grid", {2, 3}, 4, 10);
  put("rank4", {2, 1, 3}, 4, 11);
  put("rank6", {1, 2, 1, 2, 1}, 3, 12);
  put("rows_127", {127}, 3, 13);
  put("rows_128", {128}, 3, 14);
  put("rows_129", {129}, 3, 15);
  put("rows_1366", {1366}, 3, 16, 1, 0, steps_from(1));  // a chunk and one
  put("many_rows", {5000}, 3, 17, 1, 0, steps_from(2));
  put("tiny", {3}, 4, 18, 1e-6);
  put("saturated", {6}, 5, 19, 8);
  put("shifted", {3}, 6, 20, 1, 1000, steps_from(2e-5));
  put_as("two_calls", {random_normal({4, 3}, 21), classes_of({4}, 3), classes_of({4}, 2)},
         [](const Binary& op) {
           return [op](std::span<const Tensor> in) {
             return std::vector{op(in[0], in[1]), op(in[0], in[2])};
           };
         });
  const auto ignoring = [&](const char* name, const Shape& rows, Index count, std::uint64_t seed) {
    const Tensor x = random_normal(rows, seed);
    list.push_back(
        {name,
         {x, some_ignored(Shape(rows.dims().first(std::size_t(rows.rank() - 1))), count)},
         elementwise(Binary(but_ignored)),
         with_composite(elementwise(Binary(cross_entropy_composite)))});
  };
  ignoring("ignored", {7, 4}, 4, 24);
  ignoring("ignored_grid", {2, 4, 3}, 3, 25);
  ignoring("ignored_width_65", {4, 65}, 65, 26);
  ignoring("ignored_rows_300", {300, 3}, 3, 27);
  // A class that could be one, and none is.
  list.push_back(
      {"ignored_is_a_class",
       {random_normal({5, 3}, 28), classes_of({5}, 3)},
       [](std::span<const Tensor> in) { return std::vector{cross_entropy(in[0], in[1], 1)}; }});
  list.push_back({"none_is_ignored",
                  {random_normal({5, 3}, 29), classes_of({5}, 3)},
                  elementwise(Binary(but_ignored)),
                  with_composite(elementwise(Binary(cross_entropy_composite)))});
  const TensorFunction f = elementwise(Binary(of_all));
  return joined(list, {
                          // The composite's logarithm would be that of 0.
                          {"very_saturated",
                           {random_normal({10, 4}, 22, 400), classes_of({10}, 4)},
                           f,
                           steps_from(1e-4),
                           /*cancels=*/true},  // probabilities that are 0
                          {"one_class",
                           {random_normal({3, 1}, 23), classes_of({3}, 1)},
                           f,
                           zero_gradient({0}, "a softmax over one number is constant")},
                      });
}

Numbers reference(Index count, const std::vector<Numbers>& in) {
  const auto width = static_cast<std::size_t>(count);
  long double loss = 0;
  long double counted = 0;
  for (std::size_t r = 0; r < in[1].size(); ++r) {
    if (in[1][r] == kIgnored) continue;
    ++counted;
    const auto first = in[0].begin() + static_cast<std::ptrdiff_t>(r * width);
    const long double most = *std::max_element(first, first + static_cast<std::ptrdiff_t>(width));
    long double total = 0;
    for (std::size_t c = 0; c < width; ++c) total += std::exp(in[0][r * width + c] - most);
    loss += std::log(total) + most - in[0][r * width + static_cast<std::size_t>(in[1][r])];
  }
  return {loss / counted};
}

void values(const CheckValues& check) {
  for (const auto& [rows, count] : {std::pair{Shape{}, Index{3}},
                                    {Shape{0}, 3},
                                    {Shape{1}, 1},
                                    {Shape{4, 17}, 5},
                                    {Shape{2000}, 3},
                                    {Shape{3}, 4500}}) {
    std::vector<Index> dims;
    for (int i = 0; i < rows.rank(); ++i) dims.push_back(rows[i]);
    dims.push_back(count);
    const auto f = [](std::span<const Tensor> in) { return but_ignored(in[0], in[1]); };
    const auto plain = [count = count](const auto& in) { return reference(count, in); };
    const Tensor x = random_normal(Shape(dims), 1, 3);
    check(rows.text(), {x, classes_of(rows, count)}, f, plain);
    if (x.size() > 0) {
      check("nan", {with_nan(x, x.size() / 2), classes_of(rows, count)}, f, plain);
    }
    if (classes_of(rows, count).size() > 2) {
      const Tensor some = some_ignored(rows, count);
      check("ignored", {x, some}, f, plain);
      check("nan in what is ignored", {with_nan(x, 0), some}, f, plain);
    }
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             const Shape rows{kBatch, kFrames, kJoints};
             return std::vector{random_normal(kTokens, 1), classes_of(rows, kWidth)};
           },
           elementwise(Binary(of_all))}};
}

DrawnCall draw(Draw& d) {
  int logits = d.any(1);
  if (d.shape_of(logits).back() == 0) logits = d.of(d.shape_of(logits).with(-1, 1));
  const Shape shape = d.shape_of(logits);
  const Index count = shape.back();
  const Shape rows(shape.dims().first(static_cast<std::size_t>(shape.rank() - 1)));
  // A class is missing at times.
  const int classes = d.chance(0.3) ? d.indices(rows, count, kIgnored) : d.indices(rows, count);
  return {{logits, classes},
          elementwise(Binary(but_ignored)),
          fmt::format("cross_entropy(@0, @1, {})", kIgnored),
          {[=](const auto& in) { return reference(count, in); }}};
}

}  // namespace

const Facts cross_entropy_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  cross_entropy(zeros({2, 3}), indices({3}));
                },
                [] {
                  cross_entropy(zeros({2, 3}), indices({2, 3}));
                },
                [] {
                  cross_entropy(zeros({2, 3}), zeros({2}));
                },
                [] {
                  cross_entropy(zeros({2, 0}), indices({2}));
                },
                [] {
                  cross_entropy(zeros({2, 3}),
                                Tensor::of<std::int32_t>({2}, std::vector<std::int32_t>{0, 3}));
                },
                [] {
                  cross_entropy(zeros({2, 3}),
                                Tensor::of<std::int32_t>({2}, std::vector<std::int32_t>{-1, 0}));
                },
                [] {
                  const std::vector<std::int32_t> classes{-2, 0};
                  cross_entropy(zeros({2, 3}), Tensor::of<std::int32_t>({2}, classes), -1);
                },
                [] {
                  cross_entropy(zeros({2, 3}), indices({2}), 0);
                }},
    .ulp = {{-1, 1.3, 0.6}, {0, 2.8, 0.5}},
    .drawn = {{-1, 3.7, 0.6, 142.5}, {0, 4.1, 0.5}},
};

}  // namespace posetape
