#include "tests/cases/draw.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/program.hpp"

namespace posetape {
namespace {

// Around vectors, tiles and blocks.
constexpr Index kUneven[] = {6, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65};
constexpr Index kLong[] = {96,  97,   127,  128,  129,  255,  256,  257,  511,  512,  513,
                           900, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 9001};
// What a logarithm's or a denominator's operand is above.
constexpr double kPositive = 0.25;

bool floating(const Tensor& t) {
  return t.defined() && t.dtype() != DType::i32;
}

bool above(const Tensor& t, double least) {
  return std::ranges::all_of(t.values<double>(), [&](double v) { return v > least; });
}

Shape with_first(Index extent, const Shape& shape) {
  std::vector<Index> dims(shape.dims().begin(), shape.dims().end());
  dims.insert(dims.begin(), extent);
  return Shape(dims);
}

}  // namespace

double Draw::number(double low, double high) {
  return static_cast<float>(random_.uniform(low, high));
}

Index Draw::extent(Index beside) {
  const Index most = std::max<Index>(1, room_ / std::max<Index>(1, beside));
  const double u = random_.uniform();
  if (u < 0.008) return 0;
  if (u < 0.15) return 1;
  Index wanted = 2 + below(4);
  if (u > 0.7) wanted = kUneven[below(std::size(kUneven))];
  if (u > 0.94) wanted = kLong[below(std::size(kLong))];
  return wanted <= most ? wanted : 1 + below(std::min<Index>(most, 5));
}

Shape Draw::shape(int least_rank, int most_rank) {
  // The rank of every twentieth.
  constexpr int kRanks[] = {0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6};
  const int rank = std::clamp(kRanks[below(std::size(kRanks))], least_rank, most_rank);
  std::vector<Index> dims;
  Index size = 1;
  for (int i = 0; i < rank; ++i) {
    dims.push_back(extent(size));
    size *= std::max<Index>(1, dims.back());
  }
  std::rotate(dims.begin(), dims.begin() + below(std::max(1, rank)), dims.end());
  return Shape(dims);
}

int Draw::axis(int rank) {
  const auto axis = static_cast<int>(below(rank));
  return chance(0.3) ? axis - rank : axis;
}

std::vector<int> Draw::axes(int rank) {
  std::vector<int> list;
  if (chance(0.2)) return list;
  for (int i = 0; i < rank; ++i) {
    if (chance(0.5)) list.push_back(chance(0.3) ? i - rank : i);
  }
  if (list.size() > 1 && chance(0.2)) std::ranges::reverse(list);
  return list;
}

Shape Draw::regrouped(Index size) {
  std::vector<Index> dims;
  while (dims.size() + 2 < kMaxRank && size > 1 && !chance(0.2)) {
    const Index wanted = 1 + below(std::min<Index>(size, 20));
    if (size % wanted != 0) continue;
    dims.push_back(wanted);
    size /= wanted;
  }
  if (size != 1 || chance(0.3)) dims.push_back(size);
  if (chance(0.2)) dims.insert(dims.begin() + below(static_cast<Index>(dims.size()) + 1), 1);
  return Shape(dims);
}

Shape Draw::stretched(const Shape& shape) {
  Shape to = shape;
  for (int i = 0; i < to.rank(); ++i) {
    if (to[i] == 1 && chance(0.6)) to = to.with(i, extent(to.size()));
  }
  while (to.rank() < kMaxRank && chance(0.35)) to = with_first(extent(to.size()), to);
  return to;
}

Shape Draw::partner(const Shape& shape) {
  const Index left_out = chance(0.3) ? below(shape.rank() + 1) : 0;
  std::vector<Index> dims;
  for (Index i = left_out; i < shape.rank(); ++i) {
    const Index own = shape[static_cast<int>(i)];
    const bool stretches = own == 1 && chance(0.3);
    dims.push_back(stretches ? extent(shape.size()) : chance(0.25) ? 1 : own);
  }
  return Shape(dims);
}

const Shape& Draw::shape_of(int value) const {
  return program_.values[static_cast<std::size_t>(value)].shape();
}

int Draw::leaf(const Shape& shape, double scale) {
  const std::uint64_t seed = program_.seed * 1000 + program_.steps.size();
  if (chance(0.03)) {
    const double value = number(-1, 1);
    return program_.add_leaf(Tensor::full(shape, value, DType::f64),
                             fmt::format("Tensor::full({}, {}, DType::f64)", braced(shape), value));
  }
  return program_.add_leaf(random_normal(shape, seed, scale),
                           fmt::format("random_normal({}, {}, {})", braced(shape), seed, scale));
}

// One of those that are wanted, the last ones more often; -1 where there is none.
template <class Wanted>
int Draw::pick(const Wanted& wanted) {
  std::vector<int> all;
  for (std::size_t i = 0; !fresh_ && i < program_.values.size(); ++i) {
    if (floating(program_.values[i]) && wanted(program_.values[i])) {
      all.push_back(static_cast<int>(i));
    }
  }
  if (all.empty()) return -1;
  const auto count = static_cast<Index>(all.size());
  const Index from_last = below(chance(0.6) ? std::min<Index>(count, 4) : count);
  return all[static_cast<std::size_t>(count - 1 - from_last)];
}

int Draw::any(int least_rank, int most_rank) {
  const bool old = !chance(0.2);
  const int found = old ? pick([&](const Tensor& t) {
    return t.shape().rank() >= least_rank && t.shape().rank() <= most_rank;
  })
                        : -1;
  return found >= 0 ? found : leaf(shape(least_rank, most_rank), 1);
}

int Draw::of(const Shape& shape, double scale) {
  const bool old = chance(0.7);
  int found = old ? pick([&](const Tensor& t) { return t.shape() == shape; }) : -1;
  if (found >= 0) return found;
  if (chance(0.4)) found = pick([&](const Tensor& t) { return t.size() == shape.size(); });
  if (found < 0) return leaf(shape, scale);
  if (shape_of(found) == shape) return found;
  program_.add_call(Op::reshape, {{found},
                                  [shape](std::span<const Tensor> in) {
                                    return std::vector{reshape(in[0], shape)};
                                  },
                                  fmt::format("reshape(@0, {})", braced(shape)),
                                  {[](const std::vector<Numbers>& in) { return in[0]; }}});
  return static_cast<int>(program_.values.size()) - 1;
}

int Draw::positive() {
  const bool old = chance(0.7);
  const int found = old ? pick([](const Tensor& t) { return above(t, kPositive); }) : -1;
  return found >= 0 ? found : positive(shape());
}

int Draw::positive(const Shape& shape) {
  const bool old = chance(0.6);
  const int found =
      old ? pick([&](const Tensor& t) { return t.shape() == shape && above(t, kPositive); }) : -1;
  if (found >= 0) return found;
  const std::uint64_t seed = program_.seed * 1000 + program_.steps.size();
  return program_.add_leaf(random_uniform(shape, seed, 0.3, 3),
                           fmt::format("random_uniform({}, {}, 0.3, 3)", braced(shape), seed));
}

int Draw::indices(const Shape& shape, Index extent, std::optional<std::int32_t> odd) {
  const Tensor t = Tensor::empty(shape, DType::i32);
  for (std::int32_t& v : t.values<std::int32_t>()) {
    v = odd && chance(0.3) ? *odd : static_cast<std::int32_t>(below(extent));
  }
  if (odd && t.size() > 0) t.data<std::int32_t>()[0] = static_cast<std::int32_t>(below(extent));
  const auto values = t.values<std::int32_t>();
  return program_.add_leaf(
      t, fmt::format("Tensor::of<std::int32_t>({}, std::vector<std::int32_t>{{{}}})", braced(shape),
                     fmt::join(values.begin(), values.end(), ", ")));
}

std::string braced(const Shape& shape) {
  const auto dims = shape.dims();
  return fmt::format("{{{}}}", fmt::join(dims.begin(), dims.end(), ", "));
}

std::string braced(const std::vector<int>& list) {
  return fmt::format("{{{}}}", fmt::join(list, ", "));
}

DrawnCall drawn_unary(int x, std::string text, const Unary& op,
                      std::function<long double(long double)> f, const Unary& composite,
                      bool kink) {
  const auto reference = [f = std::move(f)](const std::vector<Numbers>& in) {
    Numbers y;
    for (const long double v : in[0]) y.push_back(f(v));
    return y;
  };
  return {{x},
          elementwise(op),
          std::move(text),
          {reference},
          composite ? elementwise(composite) : TensorFunction(),
          kink};
}

DrawnCall drawn_binary(Draw& d, int a, int b, std::string text, const Binary& op,
                       std::function<long double(long double, long double)> f,
                       const Binary& composite, bool kink) {
  const Shape of_a = d.shape_of(a);
  const Shape of_b = d.shape_of(b);
  const auto reference = [=](const std::vector<Numbers>& in) {
    const Shape result = broadcast("reference", of_a, of_b);
    Numbers y(static_cast<std::size_t>(result.size()));
    each_index(result, [&](const std::vector<Index>& i, std::size_t n) {
      y[n] = f(in[0][place_in(of_a, i)], in[1][place_in(of_b, i)]);
    });
    return y;
  };
  return {{a, b},
          elementwise(op),
          std::move(text),
          {reference},
          composite ? elementwise(composite) : TensorFunction(),
          kink};
}

DrawnCall drawn_binary(Draw& d, std::string text, const Binary& op,
                       std::function<long double(long double, long double)> f,
                       const Binary& composite, bool kink) {
  int a = d.any();
  int b = d.chance(0.12) ? a : d.of(d.partner(d.shape_of(a)));
  if (d.chance(0.5)) std::swap(a, b);
  return drawn_binary(d, a, b, std::move(text), op, std::move(f), composite, kink);
}

DrawnCall drawn_loss(Draw& d, std::string text, const Binary& op,
                     const std::function<Numbers(const Shape&, const std::vector<Numbers>&)>& f,
                     const Binary& composite, bool kink) {
  const int prediction = d.any(1);
  const Shape shape = d.shape_of(prediction);
  int target = d.of(shape);
  // On a kink everywhere, numbers that carry derivatives know no slope.
  if (kink && target == prediction) target = d.positive(shape);
  return {{prediction, target},   elementwise(op),
          std::move(text),        {[=](const auto& in) { return f(shape, in); }},
          elementwise(composite), kink};
}

}  // namespace posetape
