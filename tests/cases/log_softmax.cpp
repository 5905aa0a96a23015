#include <algorithm>
#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put_as = [&](const char* name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    list.push_back({name, std::move(inputs), make(Unary(log_softmax)),
                    with_composite(make(Unary(log_softmax_composite)), std::move(options))});
  };
  const auto put = [&](const char* name, const Tensor& x, GradcheckOptions options = {}) {
    put_as(
        name, {x}, [](const Unary& op) { return elementwise(op); }, std::move(options));
  };
  put("vector", random_normal({5}, 1));
  put("width_2", random_normal({3, 2}, 20));
  put("rows_15", random_normal({2, 15}, 21));
  put("rows_16", random_normal({2, 16}, 22));
  put("rows_17", random_normal({3, 17}, 2));
  put("rows_31", random_normal({2, 31}, 23));
  put("rows_33", random_normal({2, 33}, 3));
  put("rows_63", random_normal({1, 63}, 24));
  put("rows_65", random_normal({2, 65}, 25));
  put("row_4097", random_normal({1, 4097}, 26));
  put("rank3", random_normal({2, 3, 4}, 27));
  put("rank4", random_normal({2, 2, 3, 4}, 4));
  put("rank5", random_normal({2, 1, 2, 1, 5}, 28));
  put("rank6", random_normal({1, 2, 1, 2, 1, 3}, 29));
  put("rows_127", random_normal({127, 2}, 30));
  put("rows_128", random_normal({128, 2}, 31));
  put("rows_129", random_normal({129, 2}, 32));
  put("many_rows", random_normal({5000, 3}, 5));
  put("tiny", random_normal({3, 5}, 33, 1e-6));
  put("saturated", random_normal({6, 5}, 34, 8));
  put("equal", Tensor::full({2, 5}, 3, DType::f64));
  // Far from 0, where exp(x) alone would overflow.
  put("shifted", random_normal({3, 6}, 6, 1, 1000), steps_from(2e-5));
  const auto twice = [](const Unary& op) {
    return [op](std::span<const Tensor> in) { return std::vector{op(op(in[0])), op(in[0])}; };
  };
  put_as("twice", {random_normal({2, 5}, 8)}, twice);
  const TensorFunction f = elementwise(Unary(log_softmax));
  return joined(
      list,
      {
          // The composite's logarithm would be that of 0.
          {"very_saturated", {random_normal({10, 4}, 35, 400)}, f, steps_from(1e-4)},
          {"width_1",
           {random_normal({3, 1}, 7)},
           f,
           zero_gradient({0}, "a softmax over one number is constant")},
          {"empty_rows", {random_normal({0, 3}, 36), random_normal({2}, 37)}, beside_last(f)},
          {"empty_columns", {random_normal({3, 0}, 38), random_normal({2}, 39)}, beside_last(f)},
      });
}

Numbers plain(const Shape& shape, const std::vector<Numbers>& in) {
  Numbers y(in[0].size());
  const auto width = static_cast<std::size_t>(shape.back());
  for (std::size_t r = 0; r + 1 <= y.size() / std::max<std::size_t>(width, 1); ++r) {
    const auto first = in[0].begin() + static_cast<std::ptrdiff_t>(r * width);
    const long double most = *std::max_element(first, first + static_cast<std::ptrdiff_t>(width));
    long double total = 0;
    for (std::size_t i = 0; i < width; ++i) total += std::exp(in[0][r * width + i] - most);
    for (std::size_t i = 0; i < width; ++i) {
      y[r * width + i] = in[0][r * width + i] - most - std::log(total);
    }
  }
  return y;
}

void values(const CheckValues& check) {
  for (const Shape& shape : {Shape{1}, Shape{17}, Shape{0, 4}, Shape{4, 0}, Shape{3, 33},
                             Shape{2, 3, 2, 5}, Shape{900, 3}}) {
    const auto f = [](std::span<const Tensor> in) { return log_softmax(in[0]); };
    const auto reference = [&](const auto& in) { return plain(shape, in); };
    const Tensor x = random_normal(shape, 1, 3);
    check(shape.text(), {x}, f, reference);
    if (x.size() > 0) check("nan", {with_nan(x, x.size() / 2)}, f, reference);
  }
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  return {{x},
          elementwise(Unary(log_softmax)),
          "log_softmax(@0)",
          {[shape](const auto& in) { return plain(shape, in); }},
          elementwise(Unary(log_softmax_composite))};
}

}  // namespace

const Facts log_softmax_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = [] { return unary_calls(log_softmax); },
    .refused = {[] { log_softmax(zeros({})); }},
    .ulp = {{-1, 1.7, 0.5}, {0, 6.5, 2.0}, {1, 0.0, 0.0}},
    .drawn = {{-1, 1.9, 0.5, 2.0}, {0, 5.4, 1.9}},
};

}  // namespace posetape
