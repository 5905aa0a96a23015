// The values of every op against plain loops in f64, in every type; NaN, sizes 0 and 1, and errors.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

using Doubles = std::vector<double>;
using Inputs = std::vector<Tensor>;
using Function = std::function<Tensor(std::span<const Tensor>)>;
// From the inputs' shapes and values to the output's values.
using Reference = std::function<Doubles(const std::vector<Doubles>&)>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Relative to the larger of 1 and the value: some roundings of the type.
double tolerance(DType dtype) {
  return dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 4e-6 : 0.02;
}

std::set<std::string> checked_ops;

// The inputs (f64, i32 or undefined) are rounded to each type first, so that only the op's own
// rounding shows.
void check(Op op, const std::string& label, const Inputs& inputs, const Function& f,
           const Reference& reference) {
  checked_ops.insert(name(op));
  const std::string where = std::string(name(op)) + "/" + label;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    Inputs rounded;
    std::vector<Doubles> plain;
    for (const Tensor& t : inputs) {
      Tensor r = t;
      if (t.defined() && t.dtype() != DType::i32) {
        r = Tensor::empty(t.shape(), dtype);
        copy(t, r);
      }
      rounded.push_back(r);
      plain.push_back(r.defined() ? r.to_doubles() : Doubles{});
    }
    const Doubles got = f(rounded).to_doubles();
    const Doubles expected = reference(plain);
    REQUIRE_MESSAGE(got.size() == expected.size(), where);
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const bool equal = got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i]));
      const double error =
          equal ? 0 : std::fabs(got[i] - expected[i]) / std::max(1.0, std::fabs(expected[i]));
      worst = std::isnan(error) ? kInfinity : std::max(worst, error);
    }
    CHECK_MESSAGE(worst <= tolerance(dtype), where, " ", std::string(name(dtype)), ": error ",
                  worst);
  }
}

// A walk over all indices of a shape.
template <class F>
void each_index(const Shape& shape, const F& f) {
  std::vector<Index> index(static_cast<std::size_t>(shape.rank()), 0);
  for (Index n = 0; n < shape.size(); ++n) {
    Index rest = n;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      index[static_cast<std::size_t>(i)] = rest % shape[i];
      rest /= shape[i];
    }
    f(index, static_cast<std::size_t>(n));
  }
}

// The place of a result's index in an operand that broadcasts to it.
std::size_t place_in(const Shape& operand, const std::vector<Index>& index) {
  Index at = 0;
  for (int i = 0; i < operand.rank(); ++i) {
    const Index k = index[index.size() - static_cast<std::size_t>(operand.rank() - i)];
    at = at * operand[i] + (operand[i] == 1 ? 0 : k);
  }
  return static_cast<std::size_t>(at);
}

Tensor with_nan(Tensor t, Index at) {
  t.data<double>()[at] = kNaN;
  return t;
}

double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::sqrt(2.0));
}

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

struct Elementwise {
  Op op;
  Tensor (*f)(const Tensor&);
  double (*reference)(double);
  bool positive = false;
};

const std::vector<Elementwise>& elementwise() {
  static const std::vector<Elementwise> all{
      {Op::relu, relu, [](double x) { return x < 0 ? 0 : x; }},
      {Op::exp, posetape::exp, [](double x) { return std::exp(x); }},
      {Op::log, posetape::log, [](double x) { return std::log(x); }, true},
      {Op::sqrt, posetape::sqrt, [](double x) { return std::sqrt(x); }, true},
      {Op::tanh, posetape::tanh, [](double x) { return std::tanh(x); }},
      {Op::sigmoid, sigmoid, logistic},
      {Op::silu, silu, [](double x) { return x * logistic(x); }},
      {Op::gelu, gelu, [](double x) { return x * normal_cdf(x); }},
      {Op::scale, [](const Tensor& x) { return scale(x, -1.5, 0.25); },
       [](double x) { return -1.5 * x + 0.25; }},
  };
  return all;
}

}  // namespace

TEST_CASE("elementwise ops") {
  for (const Elementwise& e : elementwise()) {
    const auto f = [&](std::span<const Tensor> in) { return e.f(in[0]); };
    const auto reference = [&](const std::vector<Doubles>& in) {
      Doubles y;
      for (const double x : in[0]) y.push_back(e.reference(x));
      return y;
    };
    for (const Shape& shape :
         {Shape{}, Shape{1}, Shape{0}, Shape{3, 0}, Shape{17}, Shape{3, 33}, Shape{5, 4001}}) {
      const Tensor x = e.positive ? random_uniform(shape, 1, 0.01, 9) : random_normal(shape, 1, 2);
      check(e.op, shape.text(), {x}, f, reference);
      if (x.size() > 0) check(e.op, "nan", {with_nan(x.clone(), x.size() / 2)}, f, reference);
    }
  }
}

TEST_CASE("elementwise ops far out and at the edges of their domains") {
  const auto at = [](Tensor (*f)(const Tensor&), double x) {
    const double narrow = f(Tensor::full({1}, x, DType::f32)).item();
    const double wide = f(Tensor::full({1}, x, DType::f64)).item();
    CHECK((narrow == wide || (std::isnan(narrow) && std::isnan(wide))));
    return wide;
  };
  CHECK(at(posetape::exp, -1000) == 0);
  CHECK(at(posetape::exp, 1000) == kInfinity);
  CHECK(at(posetape::exp, -kInfinity) == 0);
  CHECK(at(posetape::log, 0) == -kInfinity);
  CHECK(std::isnan(at(posetape::log, -1)));
  CHECK(at(posetape::sqrt, 0) == 0);
  CHECK(std::isnan(at(posetape::sqrt, -1)));
  CHECK(at(posetape::tanh, 100) == 1);
  CHECK(at(posetape::tanh, -100) == -1);
  CHECK(at(sigmoid, 1000) == 1);
  CHECK(at(sigmoid, -1000) == 0);
  CHECK(at(silu, 1000) == 1000);
  CHECK(at(silu, -1000) == 0);
  CHECK(at(gelu, 1000) == 1000);
  CHECK(at(gelu, -1000) == 0);
}

TEST_CASE("binary ops with broadcasting") {
  struct Binary {
    Op op;
    Tensor (*f)(const Tensor&, const Tensor&);
    double (*reference)(double, double);
  };
  const Binary all[] = {
      {Op::add, add, [](double a, double b) { return a + b; }},
      {Op::sub, sub, [](double a, double b) { return a - b; }},
      {Op::mul, mul, [](double a, double b) { return a * b; }},
      {Op::div, posetape::div, [](double a, double b) { return a / b; }},
  };
  const std::pair<Shape, Shape> shapes[] = {
      {{}, {}},
      {{1}, {}},
      {{0}, {1}},
      {{0, 3}, {3}},
      {{3, 1}, {3, 0}},
      {{17}, {17}},
      {{3, 33}, {33}},
      {{33}, {2, 3, 33}},
      {{4, 5}, {}},
      {{1, 1}, {4, 5}},
      {{4, 5}, {4, 1}},
      {{2, 3, 4}, {2, 1, 4}},
      {{4, 1}, {1, 5}},
      {{2, 1, 3, 1}, {4, 1, 5}},
      {{2, 3, 4}, {1, 3, 1}},
      {{3, 5000}, {5000}},
      {{2, 2, 2, 2, 2, 3}, {2, 1, 2, 1, 3}},
  };
  for (const Binary& e : all) {
    for (const auto& [shape_a, shape_b] : shapes) {
      const Shape result = broadcast("test", shape_a, shape_b);
      const Tensor a = random_normal(shape_a, 1);
      const Tensor b = random_uniform(shape_b, 2, 0.5, 2);
      const auto f = [&](std::span<const Tensor> in) {
        const Tensor y = e.f(in[0], in[1]);
        CHECK(y.shape() == result);
        return y;
      };
      const auto reference = [&](const std::vector<Doubles>& in) {
        Doubles y(static_cast<std::size_t>(result.size()));
        each_index(result, [&](const std::vector<Index>& i, std::size_t n) {
          y[n] = e.reference(in[0][place_in(shape_a, i)], in[1][place_in(shape_b, i)]);
        });
        return y;
      };
      const std::string label = shape_a.text() + shape_b.text();
      check(e.op, label, {a, b}, f, reference);
      if (a.size() > 0) check(e.op, label, {with_nan(a.clone(), a.size() - 1), b}, f, reference);
      if (b.size() > 0) check(e.op, label, {a, with_nan(b.clone(), 0)}, f, reference);
    }
  }
}

TEST_CASE("broadcast_to and sum") {
  const std::pair<Shape, Shape> shapes[] = {
      {{}, {}},
      {{}, {17}},
      {{5}, {3, 5}},
      {{3, 1}, {3, 33}},
      {{1}, {0}},
      {{3, 1}, {3, 0}},
      {{2, 1, 3}, {2, 4, 3}},
      {{2, 1, 3, 1}, {2, 4, 3, 5}},
      {{1, 3, 1}, {4, 3, 500}},
      {{1, 2}, {4000, 2}},
  };
  for (const auto& [from, to] : shapes) {
    const Shape small = from;
    const Shape large = to;
    check(
        Op::broadcast_to, large.text(), {random_normal(small, 1)},
        [&](std::span<const Tensor> in) { return broadcast_to(in[0], large); },
        [&](const std::vector<Doubles>& in) {
          Doubles y(static_cast<std::size_t>(large.size()));
          each_index(large, [&](const std::vector<Index>& i, std::size_t n) {
            y[n] = in[0][place_in(small, i)];
          });
          return y;
        });
    if (small.rank() != large.rank()) continue;
    std::vector<int> axes;
    for (int i = 0; i < small.rank(); ++i) {
      if (small[i] != large[i]) axes.push_back(i - small.rank());
    }
    if (axes.empty()) continue;
    const auto reference = [&](const std::vector<Doubles>& in) {
      Doubles y(static_cast<std::size_t>(small.size()), 0.0);
      each_index(large, [&](const std::vector<Index>& i, std::size_t n) {
        y[place_in(small, i)] += in[0][n];
      });
      return y;
    };
    // Sums of positive numbers, so that the relative error means something.
    const Tensor x = random_uniform(large, 2, 0, 1);
    const auto f = [&](std::span<const Tensor> in) {
      const Tensor y = sum(in[0], {axes, true});
      CHECK(y.shape() == small);
      return y;
    };
    check(Op::sum, large.text(), {x}, f, reference);
    if (x.size() > 0) check(Op::sum, "nan", {with_nan(x.clone(), x.size() / 2)}, f, reference);
  }
  const Tensor x = random_uniform({2, 3, 4}, 3, 0, 1);
  CHECK(sum(x).shape() == Shape{});
  CHECK(sum(x, {{}, true}).shape() == Shape{1, 1, 1});
  CHECK(sum(x, {{-1, 0}}).shape() == Shape{3});
  CHECK(sum(Tensor::zeros({0, 3}, DType::f64)).item() == 0);
  CHECK(mean(x).item() == doctest::Approx(sum(x).item() / 24).epsilon(1e-14));
  CHECK(mean(x, {{1}}).to_doubles()[5] == doctest::Approx(sum(x, {{1}}).to_doubles()[5] / 3));
  CHECK(std::isnan(mean(Tensor::zeros({0}, DType::f64)).item()));
}

TEST_CASE("a long sum in f32 keeps its digits") {
  const Index size = 3'000'000;
  const double got = sum(Tensor::full({size}, 0.1, DType::f32)).item();
  const double exact = static_cast<double>(0.1f) * static_cast<double>(size);
  CHECK(std::fabs(got / exact - 1) < 1e-6);
  const double loss =
      mse_loss(Tensor::full({size}, 0.1, DType::f32), Tensor::zeros({size}, DType::f32)).item();
  CHECK(std::fabs(loss / 0.01 - 1) < 1e-6);
}

TEST_CASE("softmax") {
  for (const Shape& shape : {Shape{1}, Shape{17}, Shape{0, 4}, Shape{4, 0}, Shape{3, 33},
                             Shape{2, 3, 2, 5}, Shape{900, 3}}) {
    const auto f = [](std::span<const Tensor> in) { return softmax(in[0]); };
    const auto reference = [&](const std::vector<Doubles>& in) {
      Doubles y(in[0].size());
      const auto width = static_cast<std::size_t>(shape.back());
      for (std::size_t r = 0; r + 1 <= y.size() / std::max<std::size_t>(width, 1); ++r) {
        double total = 0;
        for (std::size_t i = 0; i < width; ++i) total += std::exp(in[0][r * width + i]);
        for (std::size_t i = 0; i < width; ++i) {
          y[r * width + i] = std::exp(in[0][r * width + i]) / total;
        }
      }
      return y;
    };
    const Tensor x = random_normal(shape, 1, 3);
    check(Op::softmax, shape.text(), {x}, f, reference);
    if (x.size() > 0) check(Op::softmax, "nan", {with_nan(x.clone(), x.size() / 2)}, f, reference);
  }
  const Doubles huge =
      softmax(Tensor::of<double>({3}, Doubles{1e30, 1e30, -kInfinity})).to_doubles();
  CHECK(huge == Doubles{0.5, 0.5, 0});
}

TEST_CASE("reshape and cast keep values") {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{2, 3, 4}}) {
    const Tensor x = random_normal(shape, 1);
    const auto same = [](const std::vector<Doubles>& in) { return in[0]; };
    check(
        Op::reshape, shape.text(), {x},
        [](std::span<const Tensor> in) { return reshape(in[0], {in[0].size()}); }, same);
    check(
        Op::cast, shape.text(), {x},
        [](std::span<const Tensor> in) { return cast(cast(in[0], DType::f64), in[0].dtype()); },
        same);
  }
  const Tensor x = random_normal({6}, 2);
  CHECK(reshape(x, {2, 3}).raw() == x.raw());
  const Tensor third = Tensor::full({1}, 1.0 / 3, DType::f64);
  CHECK(cast(third, DType::f32).item() == static_cast<double>(static_cast<float>(1.0 / 3)));
  CHECK(cast(third, DType::bf16).item() == 0.333984375);
}

TEST_CASE("transpose") {
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
        Op::transpose, from.text(), {random_normal(from, 1)},
        [&](std::span<const Tensor> in) { return transpose(in[0], order); },
        [&](const std::vector<Doubles>& in) {
          Shape to = from;
          for (int i = 0; i < from.rank(); ++i) {
            const int axis = order[static_cast<std::size_t>(i)];
            to = to.with(i, from[axis]);
          }
          Doubles y(in[0].size());
          each_index(to, [&](const std::vector<Index>& i, std::size_t n) {
            std::vector<Index> source(i.size());
            for (std::size_t k = 0; k < i.size(); ++k) {
              const int axis = order[k] < 0 ? order[k] + from.rank() : order[k];
              source[static_cast<std::size_t>(axis)] = i[k];
            }
            y[n] = in[0][place_in(from, source)];
          });
          return y;
        });
  }
}

TEST_CASE("concat and slice") {
  const std::pair<std::vector<Shape>, int> all[] = {
      {{{3}, {17}}, 0},
      {{{0}, {2}}, 0},
      {{{2, 3}}, 1},
      {{{0, 3}, {0, 2}}, 1},
      {{{2, 3}, {1, 3}}, 0},
      {{{3, 2}, {3, 0}, {3, 33}}, 1},
      {{{2, 3, 4}, {2, 1, 4}}, 1},
      {{{2, 5000}, {2, 4097}}, -1},
  };
  for (const auto& [shapes, axis] : all) {
    const std::vector<Shape> parts = shapes;
    const int along = axis < 0 ? axis + parts[0].rank() : axis;
    Inputs inputs;
    Index total = 0;
    for (const Shape& s : parts) {
      inputs.push_back(random_normal(s, 10 + inputs.size()));
      total += s[along];
    }
    const Shape whole = parts[0].with(along, total);
    const auto joined = [&](const std::vector<Doubles>& in) {
      Doubles y(static_cast<std::size_t>(whole.size()));
      each_index(whole, [&](std::vector<Index> i, std::size_t n) {
        std::size_t part = 0;
        Index& k = i[static_cast<std::size_t>(along)];
        while (k >= parts[part][along]) k -= parts[part++][along];
        y[n] = in[part][place_in(parts[part], i)];
      });
      return y;
    };
    check(
        Op::concat, whole.text(), inputs,
        [&](std::span<const Tensor> in) { return concat(in, along - whole.rank()); }, joined);
    // And each part sliced out of the whole is what went in.
    Index begin = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      check(
          Op::slice, whole.text(), inputs,
          [&](std::span<const Tensor> in) {
            return slice(concat(in, along), along, begin, begin + parts[p][along]);
          },
          [&](const std::vector<Doubles>& in) { return in[p]; });
      begin += parts[p][along];
    }
  }
}

TEST_CASE("gather") {
  const auto indices = [](const Shape& shape, int rows) {
    Tensor t = Tensor::empty(shape, DType::i32);
    for (Index i = 0; i < t.size(); ++i) {
      t.data<std::int32_t>()[i] = static_cast<std::int32_t>((i * 5 + 1) % rows);
    }
    return t;
  };
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{7}, Shape{2, 3}, Shape{2000}}) {
    for (const Index width : {0, 1, 17}) {
      check(
          Op::gather, shape.text(), {random_normal({4, width}, 1), indices(shape, 4)},
          [](std::span<const Tensor> in) { return gather(in[0], in[1]); },
          [&](const std::vector<Doubles>& in) {
            Doubles y;
            for (const double i : in[1]) {
              const auto row = in[0].begin() + static_cast<Index>(i) * width;
              y.insert(y.end(), row, row + width);
            }
            return y;
          });
    }
  }
  const Tensor table = random_normal({3, 2}, 1);
  try {
    gather(table, Tensor::of<std::int32_t>({2}, std::vector<std::int32_t>{0, 3}));
    FAIL("an index out of range must be an Error");
  } catch (const Error& e) {
    const std::string text = e.what();
    CHECK(text.find("gather: index 3") != std::string::npos);
    CHECK(text.find("3 rows") != std::string::npos);
  }
  CHECK_THROWS_AS(gather(table, Tensor::full({1}, -1, DType::i32)), Error);
}

TEST_CASE("matmul and linear") {
  struct Product {
    Shape a, b;
    bool transpose_a = false, transpose_b = false;
  };
  const Product all[] = {
      {{2, 3}, {3, 4}},
      {{1, 1}, {1, 1}},
      {{0, 3}, {3, 4}},
      {{2, 0}, {0, 4}},
      {{17, 33}, {33, 5}},
      {{3, 2, 4}, {3, 4, 5}},
      {{3, 2, 4}, {4, 5}},
      {{2, 2, 3, 4}, {2, 2, 4, 5}},
      {{0, 2, 3}, {0, 3, 4}},
      {{3, 4, 2}, {3, 4, 5}, true, false},
      {{3, 2, 4}, {3, 5, 4}, false, true},
      {{2, 4, 3}, {2, 5, 4}, true, true},
      {{3, 2, 4}, {5, 4}, false, true},
      {{4, 3}, {5, 4}, true, true},
      // Tiles, blocks and strips that are cut off, and sums that are split.
      {{12, 32}, {32, 32}},
      {{13, 31}, {33, 31}, false, true},
      {{97, 513}, {513, 67}},
      {{513, 98}, {67, 513}, true, true},
      {{49, 1030}, {1030, 7}},
      {{2050, 35}, {2050, 33}, true, false},
      {{3, 4100}, {2, 4100}, false, true},
  };
  for (const Product& p : all) {
    const Shape& a = p.a;
    const Shape& b = p.b;
    const Index m = p.transpose_a ? a[-1] : a[-2];
    const Index k = p.transpose_a ? a[-2] : a[-1];
    const Index n = p.transpose_b ? b[-2] : b[-1];
    const Index batch = a.outer(a.rank() - 2);
    const auto f = [&](std::span<const Tensor> in) {
      const Tensor c = matmul(in[0], in[1], {p.transpose_a, p.transpose_b});
      CHECK(c.shape() == a.with(-2, m).with(-1, n));
      return c;
    };
    const auto reference = [&](const std::vector<Doubles>& in) {
      Doubles c;
      for (Index i = 0; i < batch; ++i) {
        const double* pa = in[0].data() + i * m * k;
        const double* pb = in[1].data() + (b.rank() == 2 ? 0 : i * k * n);
        for (Index r = 0; r < m; ++r) {
          for (Index s = 0; s < n; ++s) {
            double dot = 0;
            for (Index t = 0; t < k; ++t) {
              dot += (p.transpose_a ? pa[t * m + r] : pa[r * k + t]) *
                     (p.transpose_b ? pb[s * k + t] : pb[t * n + s]);
            }
            c.push_back(dot);
          }
        }
      }
      return c;
    };
    const std::string label = a.text() + b.text();
    const double spread = k > 100 ? 0.1 : 1;  // long sums of the order of 1
    const Tensor x = random_normal(a, 1, spread);
    const Tensor y = random_normal(b, 2, spread);
    check(Op::matmul, label, {x, y}, f, reference);
    if (x.size() > 0) check(Op::matmul, "nan", {with_nan(x.clone(), 0), y}, f, reference);
  }

  const auto activated = [](Activation activation, double z) {
    return activation == Activation::gelu   ? z * normal_cdf(z)
           : activation == Activation::silu ? z * logistic(z)
                                            : z;
  };
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::silu}) {
    for (const bool with_bias : {false, true}) {
      for (const Index rows : {0, 1, 17, 200}) {
        const Index in_width = 33;
        const Index out_width = 17;
        check(
            Op::linear, "",
            {random_normal({rows, in_width}, 1), random_normal({out_width, in_width}, 2, 0.2),
             with_bias ? random_normal({out_width}, 3) : Tensor()},
            [&](std::span<const Tensor> in) { return linear(in[0], in[1], in[2], activation); },
            [&](const std::vector<Doubles>& in) {
              Doubles y;
              for (Index r = 0; r < rows; ++r) {
                for (Index o = 0; o < out_width; ++o) {
                  double z = with_bias ? in[2][static_cast<std::size_t>(o)] : 0;
                  for (Index i = 0; i < in_width; ++i) {
                    z += in[0][static_cast<std::size_t>(r * in_width + i)] *
                         in[1][static_cast<std::size_t>(o * in_width + i)];
                  }
                  y.push_back(activated(activation, z));
                }
              }
              return y;
            });
      }
    }
  }
}

TEST_CASE("layer_norm") {
  for (const Index rows : {0, 2, 34}) {
    for (const Index width : {1, 17, 33}) {
      for (const bool summed : {false, true}) {
        const auto value = [=](const std::vector<Doubles>& in, Index r, Index i) {
          const auto at = static_cast<std::size_t>(r * width + i);
          const auto group = static_cast<std::size_t>(r / std::max<Index>(1, rows / 2) * width + i);
          return in[0][at] + (summed ? in[3][at] + in[4][group] : 0);
        };
        const auto reference = [=](const std::vector<Doubles>& in) {
          Doubles y;
          for (Index r = 0; r < rows; ++r) {
            double mean_of_row = 0;
            double variance = 0;
            for (Index i = 0; i < width; ++i) {
              mean_of_row += value(in, r, i) / static_cast<double>(width);
            }
            for (Index i = 0; i < width; ++i) {
              variance += std::pow(value(in, r, i) - mean_of_row, 2) / static_cast<double>(width);
            }
            for (Index i = 0; i < width; ++i) {
              const auto c = static_cast<std::size_t>(i);
              y.push_back((value(in, r, i) - mean_of_row) / std::sqrt(variance + 1e-2) * in[1][c] +
                          in[2][c]);
            }
          }
          return y;
        };
        const Inputs inputs{random_normal({rows, width}, 1), random_normal({width}, 2),
                            random_normal({width}, 3),
                            summed ? random_normal({rows, width}, 4) : Tensor(),
                            summed ? random_normal({2, width}, 5) : Tensor()};
        if (summed) {
          // The sum is rounded to bf16 before it is normalised; its own values are compared.
          const Tensor s =
              layer_norm(inputs[0], inputs[1], inputs[2], 1e-2, inputs[3], inputs[4]).s;
          Doubles expected;
          std::vector<Doubles> plain;
          for (const Tensor& t : inputs) plain.push_back(t.to_doubles());
          for (Index r = 0; r < rows; ++r) {
            for (Index i = 0; i < width; ++i) expected.push_back(value(plain, r, i));
          }
          const Doubles got = s.to_doubles();
          for (std::size_t i = 0; i < got.size(); ++i) {
            CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-14));
          }
        }
        check(
            Op::layer_norm, "", inputs,
            [](std::span<const Tensor> in) {
              return layer_norm(in[0], in[1], in[2], 1e-2, in[3], in[4]).y;
            },
            reference);
      }
    }
  }
}

TEST_CASE("blend") {
  for (const Shape& shape :
       {Shape{1}, Shape{0, 3}, Shape{2, 0}, Shape{3, 17}, Shape{2, 3, 5, 3}, Shape{2, 9001}}) {
    const Shape batch{shape[0]};
    check(
        Op::blend, shape.text(),
        {random_normal(batch, 1), random_normal(shape, 2), random_normal(batch, 3),
         random_normal(shape, 4)},
        [](std::span<const Tensor> in) { return blend(in[0], in[1], in[2], in[3]); },
        [&](const std::vector<Doubles>& in) {
          Doubles y(in[1].size());
          for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t b = i / static_cast<std::size_t>(shape.inner(0));
            y[i] = in[0][b] * in[1][i] + in[2][b] * in[3][i];
          }
          return y;
        });
  }
}

TEST_CASE("losses") {
  for (const Shape& shape : {Shape{3}, Shape{0, 3}, Shape{1, 1}, Shape{4, 17, 3}, Shape{5000, 3}}) {
    const Inputs inputs{random_normal(shape, 1), random_normal(shape, 2)};
    const auto distance = [](std::span<const Tensor> in) {
      return joint_distance_loss(in[0], in[1]);
    };
    const auto mean_distance = [&](const std::vector<Doubles>& in) {
      const auto width = static_cast<std::size_t>(shape.back());
      const std::size_t rows = in[0].size() / width;
      double total = 0;
      for (std::size_t r = 0; r < rows; ++r) {
        double squares = 0;
        for (std::size_t i = r * width; i < (r + 1) * width; ++i) {
          squares += std::pow(in[0][i] - in[1][i], 2);
        }
        total += std::sqrt(squares);
      }
      return Doubles{total / static_cast<double>(rows)};
    };
    const auto squared = [](std::span<const Tensor> in) { return mse_loss(in[0], in[1]); };
    const auto mean_square = [](const std::vector<Doubles>& in) {
      double total = 0;
      for (std::size_t i = 0; i < in[0].size(); ++i) total += std::pow(in[0][i] - in[1][i], 2);
      return Doubles{total / static_cast<double>(in[0].size())};
    };
    check(Op::joint_distance_loss, shape.text(), inputs, distance, mean_distance);
    check(Op::mse_loss, shape.text(), inputs, squared, mean_square);
    if (shape.size() == 0) continue;
    const Inputs bad{with_nan(inputs[0].clone(), shape.size() - 1), inputs[1]};
    check(Op::joint_distance_loss, "nan", bad, distance, mean_distance);
    check(Op::mse_loss, "nan", bad, squared, mean_square);
  }
}

TEST_CASE(
    "joint_distance_loss has slope 0 at distance 0, and a NaN spreads to its own joint only") {
  Tape tape;
  const Tensor x = Tensor::of<double>({4, 3}, Doubles{1, 2, 3, 0, 0, 0, kNaN, 1, 1, 3, 4, 0});
  const Tensor y = Tensor::of<double>({4, 3}, Doubles{1, 2, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0});
  tape.watch(x);
  tape.watch(y);
  Recording on(tape);
  const Gradients g = tape.backward(joint_distance_loss(x, y));
  const Doubles dx = g.of(x).to_doubles();
  CHECK(Doubles(dx.begin(), dx.begin() + 6) == Doubles{0, 0, 0, 0, -0.25, 0});
  for (int i = 6; i < 9; ++i) CHECK(std::isnan(dx[static_cast<std::size_t>(i)]));
  CHECK(dx[9] == doctest::Approx(0.15));
  CHECK(dx[10] == doctest::Approx(0.2));
  CHECK(g.of(y).to_doubles()[4] == 0.25);
}

TEST_CASE("structure_embedding") {
  struct Grid {
    Index b, n, j, d, p, w;
  };
  const Grid all[] = {{1, 1, 1, 1, 0, 0}, {0, 3, 4, 2, 0, 0},   {2, 0, 4, 2, 0, 0},
                      {2, 3, 4, 5, 0, 0}, {1, 5, 17, 33, 0, 0}, {2, 4, 17, 16, 5, 4},
                      {1, 2, 3, 7, 2, 9}, {3, 1, 5, 34, 5, 17}};
  for (const Grid& g : all) {
    const bool parts = g.p > 0;
    Tensor part;
    if (parts) {
      part = Tensor::empty({g.j}, DType::i32);
      for (Index j = 0; j < g.j; ++j) {
        part.data<std::int32_t>()[j] = static_cast<std::int32_t>((j * 3 + 1) % g.p);
      }
    }
    const double factor = 0.3;
    const auto reference = [=](const std::vector<Doubles>& in) {
      Doubles y;
      const auto at = [](Index i) { return static_cast<std::size_t>(i); };
      for (Index b = 0; b < g.b; ++b) {
        for (Index n = 0; n < g.n; ++n) {
          for (Index j = 0; j < g.j; ++j) {
            for (Index c = 0; c < g.d; ++c) {
              double out = in[2][at(c)];
              for (Index dn = -1; dn <= 1; ++dn) {
                for (Index dj = -1; dj <= 1; ++dj) {
                  const Index m = n + dn;
                  const Index k = j + dj;
                  if (m < 0 || m >= g.n || k < 0 || k >= g.j) continue;
                  out += in[1][at(c * 9 + (dn + 1) * 3 + dj + 1)] *
                         in[0][at(((b * g.n + m) * g.j + k) * 3 * g.d + 2 * g.d + c)];
                }
              }
              if (parts && c < g.d / 2) {
                out += factor * in[3][at(static_cast<Index>(in[4][at(j)]) * g.w + c % g.w)];
              }
              y.push_back(out);
            }
          }
        }
      }
      return y;
    };
    const Inputs inputs{random_normal({g.b, g.n, g.j, 3 * g.d}, 1), random_normal({g.d, 3, 3}, 2),
                        random_normal({g.d}, 3), parts ? random_normal({g.p, g.w}, 4) : Tensor(),
                        part};
    const auto f = [=](std::span<const Tensor> in) {
      return structure_embedding(in[0], in[1], in[2], in[3], in[4], factor);
    };
    check(Op::structure_embedding, inputs[0].shape().text(), inputs, f, reference);
    if (inputs[0].size() == 0) continue;
    Inputs bad = inputs;  // in q: never read
    bad[0] = with_nan(inputs[0].clone(), 0);
    check(Op::structure_embedding, "nan_in_q", bad, f, reference);
    bad[0] = with_nan(inputs[0].clone(), inputs[0].size() - 1);
    check(Op::structure_embedding, "nan_in_v", bad, f, reference);
    bad[0] = inputs[0];
    bad[1] = with_nan(inputs[1].clone(), 0);  // a corner tap: no effect on the first row and column
    check(Op::structure_embedding, "nan_in_weight", bad, f, reference);
  }
}

TEST_CASE("axial_attention") {
  struct Grid {
    Index b, n, j, d, heads;
  };
  const Grid all[] = {
      {1, 1, 1, 2, 1}, {0, 3, 4, 4, 1}, {2, 3, 5, 8, 2}, {1, 17, 4, 34, 1}, {1, 4, 17, 64, 2}};
  for (const Grid& g : all) {
    for (const Axis axis : {Axis::space, Axis::time, Axis::cross}) {
      for (const bool with_add : {false, true}) {
        const auto reference = [=](const std::vector<Doubles>& in) {
          Doubles y(static_cast<std::size_t>(g.b * g.n * g.j * g.d));
          const Index segments = axis == Axis::cross ? 2 : 1;
          const Index width = g.d / segments / g.heads;
          const auto token = [&](Index b, Index n, Index j) { return (b * g.n + n) * g.j + j; };
          const auto at = [&](Index t, Index which, Index c) {
            return in[0][static_cast<std::size_t>(t * 3 * g.d + which * g.d + c)];
          };
          for (Index b = 0; b < g.b; ++b) {
            for (Index n = 0; n < g.n; ++n) {
              for (Index j = 0; j < g.j; ++j) {
                for (Index h = 0; h < segments * g.heads; ++h) {
                  const bool space = axis == Axis::space || (axis == Axis::cross && h < g.heads);
                  const Index others = space ? g.j : g.n;
                  const Index here = token(b, n, j);
                  Doubles weight;
                  double total = 0;
                  for (Index k = 0; k < others; ++k) {
                    const Index there = space ? token(b, n, k) : token(b, k, j);
                    double dot = 0;
                    for (Index c = h * width; c < (h + 1) * width; ++c) {
                      dot += at(here, 0, c) * at(there, 1, c);
                    }
                    weight.push_back(std::exp(dot / std::sqrt(static_cast<double>(width))));
                    total += weight.back();
                  }
                  for (Index c = h * width; c < (h + 1) * width; ++c) {
                    const auto place = static_cast<std::size_t>(here * g.d + c);
                    double out = with_add ? in[1][place] : 0;
                    for (Index k = 0; k < others; ++k) {
                      const Index there = space ? token(b, n, k) : token(b, k, j);
                      out += weight[static_cast<std::size_t>(k)] / total * at(there, 2, c);
                    }
                    y[place] = out;
                  }
                }
              }
            }
          }
          return y;
        };
        check(
            Op::axial_attention, "",
            {random_normal({g.b, g.n, g.j, 3 * g.d}, 1),
             with_add ? random_normal({g.b, g.n, g.j, g.d}, 2) : Tensor()},
            [&](std::span<const Tensor> in) {
              return axial_attention(in[0], axis, g.heads, 0, in[1]);
            },
            reference);
      }
    }
  }
}

// Runs after the ones above, as doctest keeps the order of a file.
TEST_CASE("every op has its values checked") {
  if (checked_ops.size() < 3) return;  // this test was called alone
  for (int i = 0; i < kOps; ++i) {
    const std::string op = name(static_cast<Op>(i));
    CHECK_MESSAGE(checked_ops.count(op) == 1, op, " is compared with no plain loop");
  }
}

TEST_CASE("shape errors name the op and what it got") {
  const auto zeros = [](const Shape& shape) { return Tensor::zeros(shape, DType::f32); };
  const auto indices = [](const Shape& shape) { return Tensor::zeros(shape, DType::i32); };
  const std::pair<std::string, std::function<void()>> all[] = {
      {"add",
       [&] {
         add(zeros({2, 3}), zeros({4}));
       }},
      {"sub", [&] { sub(zeros({2}), zeros({3})); }},
      {"mul", [&] { mul(zeros({2}), zeros({0})); }},
      {"div",
       [&] {
         posetape::div(zeros({2, 3}), zeros({3, 2}));
       }},
      {"sum",
       [&] {
         sum(zeros({2, 3}), {{2}});
       }},
      {"sum",
       [&] {
         sum(zeros({2, 3}), {{1, -1}});
       }},
      {"softmax", [&] { softmax(zeros({})); }},
      {"reshape",
       [&] {
         reshape(zeros({2, 3}), {5});
       }},
      {"transpose",
       [&] {
         transpose(zeros({2, 3}), {0});
       }},
      {"transpose",
       [&] {
         transpose(zeros({2, 3}), {0, 0});
       }},
      {"transpose",
       [&] {
         transpose(zeros({2, 3}), {0, 2});
       }},
      {"concat", [&] { concat(std::span<const Tensor>(), 0); }},
      {"concat",
       [&] {
         concat({zeros({2, 3}), zeros({3, 3})}, 1);
       }},
      {"concat",
       [&] {
         concat({zeros({2}), zeros({2, 2})}, 0);
       }},
      {"concat", [&] { concat({zeros({2})}, 1); }},
      {"slice",
       [&] {
         slice(zeros({2, 3}), 2, 0, 1);
       }},
      {"slice",
       [&] {
         slice(zeros({2, 3}), 1, 0, 4);
       }},
      {"slice",
       [&] {
         slice(zeros({2, 3}), 1, 2, 1);
       }},
      {"slice",
       [&] {
         slice(zeros({2, 3}), 1, -1, 1);
       }},
      {"broadcast_to",
       [&] {
         broadcast_to(zeros({2, 3}), {3});
       }},
      {"broadcast_to", [&] { broadcast_to(zeros({2}), {3}); }},
      {"gather", [&] { gather(zeros({2}), indices({1})); }},
      {"gather",
       [&] {
         gather(zeros({0, 2}), indices({1}));
       }},
      {"matmul",
       [&] {
         matmul(zeros({2, 3}), zeros({2, 3}));
       }},
      {"matmul",
       [&] {
         matmul(zeros({3}), zeros({3, 2}));
       }},
      {"matmul",
       [&] {
         matmul(zeros({2, 2, 3}), zeros({3, 3, 2}));
       }},
      {"matmul",
       [&] {
         matmul(zeros({2, 3, 2}), zeros({3, 2}), {.transpose_a = true});
       }},
      {"cast", [&] { cast(zeros({2}), DType::i32); }},
      {"blend",
       [&] {
         blend(zeros({2}), zeros({2, 3}), zeros({2}), zeros({2, 4}));
       }},
      {"blend",
       [&] {
         blend(zeros({3}), zeros({2, 3}), zeros({2}), zeros({2, 3}));
       }},
      {"joint_distance_loss",
       [&] {
         joint_distance_loss(zeros({2, 3}), zeros({3}));
       }},
      {"mse_loss", [&] { mse_loss(zeros({2}), zeros({3})); }},
      {"structure_embedding",
       [&] {
         structure_embedding(zeros({1, 2, 3, 7}), zeros({2, 3, 3}), zeros({2}));
       }},
      {"structure_embedding",
       [&] {
         structure_embedding(zeros({1, 2, 3, 6}), zeros({3, 3, 3}), zeros({2}));
       }},
      {"structure_embedding",
       [&] {
         structure_embedding(zeros({1, 2, 3, 6}), zeros({2, 3, 3}), zeros({2}), zeros({2, 2}));
       }},
      {"structure_embedding",
       [&] {
         structure_embedding(zeros({1, 2, 3, 6}), zeros({2, 3, 3}), zeros({2}), zeros({0, 2}),
                             indices({3}));
       }},
  };
  int number = 0;
  for (const auto& [op, call] : all) {
    std::string text = "no Error";
    try {
      call();
    } catch (const Error& e) {
      text = e.what();
    }
    CHECK_MESSAGE(text.rfind(op + ": ", 0) == 0, number, ": ", text);
    CHECK_MESSAGE(text.find('\n') == std::string::npos, text);
    ++number;
  }
  CHECK_THROWS_AS(add(zeros({2}), Tensor::zeros({2}, DType::f64)), Error);
  CHECK_THROWS_AS(posetape::exp(indices({2})), Error);
}
