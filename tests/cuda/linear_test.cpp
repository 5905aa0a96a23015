// The linear layer's kernels beside their products.
#include "kernels/linear/linear.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/arena.hpp"
#include "engine/ops.hpp"
#include "kernels/base/dispatch.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cuda/device_array.hpp"

using namespace posetape;
using namespace posetape::test;

namespace {

// y of small whole numbers, whose products are exact, with y `offset` elements into its memory.
template <class T>
std::vector<double> forward(Index offset, bool keeps_z, Activation activation) {
  constexpr Index kRows = 3, kIn = 4, kOut = 7;
  const auto numbers = [](Index count) {
    std::vector<T> all;
    for (Index i = 0; i < count; ++i) all.push_back(T(static_cast<Accumulator<T>>(i * 3 % 7 - 3)));
    return all;
  };
  const DeviceArray<T> x(numbers(kRows * kIn)), w(numbers(kOut * kIn)), b(numbers(kOut));
  const DeviceArray<T> z(numbers(kRows * kOut)), y(numbers(kRows * kOut + offset));
  launch(Cuda{}, LinearForward<T>{x.data(), w.data(), b.data(), keeps_z ? z.data() : nullptr,
                                  y.data() + offset, kRows, kIn, kOut, activation});
  const std::vector<T> all = y.values();
  std::vector<double> result;
  for (std::size_t i = static_cast<std::size_t>(offset); i < all.size(); ++i) {
    result.push_back(static_cast<double>(load(all[i])));
  }
  return result;
}

template <class T>
void check_offsets() {
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::silu}) {
    const auto expected = forward<T>(0, false, activation);
    for (const Index offset : {0, 1, 3, 8}) {
      CHECK(forward<T>(offset, false, activation) == expected);
      if (activation == Activation::none) continue;  // z is y
      CHECK(forward<T>(offset, true, activation) == expected);
    }
  }
}

}  // namespace

TEST_CASE("cuda: a linear layer's result does not depend on where it lies") {
  cuda::open();
  check_offsets<double>();
  check_offsets<float>();
  check_offsets<bf16>();
}

namespace {

// Small whole numbers, whose products and sums are exact in f32.
std::vector<bf16> whole_numbers(Index count, int seed) {
  std::vector<bf16> all;
  for (Index i = 0; i < count; ++i)
    all.emplace_back(static_cast<float>((i * 7 + i / 11 + seed) % 5 - 2));
  return all;
}

struct Layer {
  Index rows, in, out;
  Into into = Into::write;
  Index offset = 0;  // of dz in its memory: where it is not 0, packs of numbers are not aligned
};

// dx, dW and db of a layer without activation.
void check_backward(const Layer& l) {
  CAPTURE(l.rows);
  CAPTURE(l.in);
  CAPTURE(l.out);
  const auto at = [](const std::vector<bf16>& of, Index i) {
    return float(of[static_cast<std::size_t>(i)]);
  };
  const auto x = whole_numbers(l.rows * l.in, 1), w = whole_numbers(l.out * l.in, 2);
  const auto dz = whole_numbers(l.rows * l.out + l.offset, 3);
  const std::vector<bf16> before[] = {whole_numbers(l.rows * l.in, 4),
                                      whole_numbers(l.out * l.in, 5), whole_numbers(l.out, 6)};
  const DeviceArray<bf16> dev_x(x), dev_w(w), dev_dz(dz);
  DeviceArray<bf16> dx(before[0]), dw(before[1]), db(before[2]);
  const long long launches = cuda::launches();
  launch(Cuda{}, LinearBackward<bf16>{dev_x.data(),
                                      dev_w.data(),
                                      nullptr,
                                      dev_dz.data() + l.offset,
                                      nullptr,
                                      {dx.data(), l.into},
                                      {dw.data(), l.into},
                                      {db.data(), l.into},
                                      l.rows,
                                      l.in,
                                      l.out,
                                      Activation::none});
  const bool in_packs = l.offset == 0 && l.in % 8 == 0 && l.out % 8 == 0;
  if (in_packs && cuda::open().major >= 8) CHECK(cuda::launches() == launches + 1);
  int wrong = 0;
  const auto compare = [&](const std::vector<bf16>& got, int which, Index i, float sum) {
    if (l.into == Into::add) sum += at(before[which], i);
    wrong += at(got, i) != float(bf16(sum));
  };
  const auto dx_got = dx.values(), dw_got = dw.values(), db_got = db.values();
  for (Index r = 0; r < l.rows; ++r) {
    for (Index i = 0; i < l.in; ++i) {
      float sum = 0;
      for (Index o = 0; o < l.out; ++o)
        sum += at(dz, l.offset + r * l.out + o) * at(w, o * l.in + i);
      compare(dx_got, 0, r * l.in + i, sum);
    }
  }
  for (Index o = 0; o < l.out; ++o) {
    for (Index i = 0; i <= l.in; ++i) {  // the last is db
      float sum = 0;
      for (Index r = 0; r < l.rows; ++r) {
        sum += at(dz, l.offset + r * l.out + o) * (i < l.in ? at(x, r * l.in + i) : 1);
      }
      i < l.in ? compare(dw_got, 1, o * l.in + i, sum) : compare(db_got, 2, o, sum);
    }
  }
  CHECK(wrong == 0);
}

// z and y.
void check_forward(const Layer& l, Activation activation, bool has_bias) {
  CAPTURE(l.rows);
  CAPTURE(l.in);
  CAPTURE(l.out);
  const auto x = whole_numbers(l.rows * l.in, 1), w = whole_numbers(l.out * l.in, 2);
  const auto b = whole_numbers(l.out, 3);
  const DeviceArray<bf16> dev_x(x), dev_w(w), dev_b(b);
  const auto nothing = whole_numbers(l.rows * l.out, 4);
  DeviceArray<bf16> z(nothing), y(nothing);
  launch(Cuda{}, LinearForward<bf16>{dev_x.data(), dev_w.data(), has_bias ? dev_b.data() : nullptr,
                                     z.data(), y.data(), l.rows, l.in, l.out, activation});
  const auto z_got = z.values(), y_got = y.values();
  int wrong = 0;
  double worst = 0;
  for (Index r = 0; r < l.rows; ++r) {
    for (Index o = 0; o < l.out; ++o) {
      float sum = has_bias ? float(b[static_cast<std::size_t>(o)]) : 0;
      for (Index i = 0; i < l.in; ++i) {
        sum += float(x[static_cast<std::size_t>(r * l.in + i)]) *
               float(w[static_cast<std::size_t>(o * l.in + i)]);
      }
      const auto at = static_cast<std::size_t>(r * l.out + o);
      const double before = float(bf16(sum));
      wrong += float(z_got[at]) != before;
      const double cdf = activation == Activation::gelu ? std::erfc(-before / std::sqrt(2.0)) / 2
                                                        : 1 / (1 + std::exp(-before));
      const double expected = before * cdf;
      worst =
          std::max(worst, std::fabs(float(y_got[at]) - expected) / (std::fabs(expected) + 1e-6));
    }
  }
  CHECK(wrong == 0);
  CHECK(worst < 0x1p-8 + 1e-5);
}

}  // namespace

// Tiles that are full, cut, and more than one; sums in one chunk and in several.
TEST_CASE("cuda: products of bf16 with what belongs to them") {
  cuda::open();
  Arena::of(Device::cuda);  // for kernels' own memory
  for (const Layer& l :
       {Layer{1, 8, 8}, Layer{17, 72, 24}, Layer{70, 136, 200}, Layer{129, 264, 64}}) {
    for (const bool has_bias : {false, true}) {
      check_forward(l, Activation::gelu, has_bias);
      check_forward(l, Activation::silu, has_bias);
    }
    check_backward(l);
    check_backward({l.rows, l.in, l.out, Into::add});
    check_backward({l.rows, l.in, l.out, Into::add, 1});
  }
  check_backward({300, 40, 8});
  check_backward({1030, 16, 72, Into::add});
  check_backward({20, 3, 5});
}

// A case's outputs and gradients, in bf16 on the device.
static std::vector<std::vector<double>> numbers_of(const TensorFunction& f,
                                                   const std::vector<Tensor>& inputs) {
  std::vector<Tensor> moved;
  for (const Tensor& x : inputs) moved.push_back(converted(x, DType::bf16).to(Device::cuda));
  const CaseResults got = results({"", moved, f}, moved, DType::bf16);
  std::vector<std::vector<double>> all;
  for (const Tensor& y : got.outputs) all.push_back(y.to_doubles());
  for (const auto& [input, gradient] : got.gradients) all.push_back(gradient.to_doubles());
  return all;
}

// Rows that fill a block's, cut or more than one; groups that end within a block.
TEST_CASE("cuda: a norm and the layer after it give the bits of the two apart, in fewer launches") {
  struct Layer {
    Index groups, rows, width, out;
    bool residual, shift;
  };
  for (const Layer& l : {Layer{1, 1, 8, 8, false, false}, Layer{1, 33, 64, 192, true, false},
                         Layer{3, 45, 32, 40, true, true}, Layer{2, 70, 256, 264, false, true},
                         Layer{2, 200, 136, 72, true, true}, Layer{2, 20, 264, 16, true, true}}) {
    CAPTURE(l.rows);
    CAPTURE(l.width);
    std::vector<Tensor> in{random_normal({l.groups, l.rows, l.width}, 1),
                           random_normal({l.out, l.width}, 2, 0.1), random_normal({l.out}, 3),
                           random_normal({l.width}, 4), random_normal({l.width}, 5)};
    if (l.residual) in.push_back(random_normal({l.groups, l.rows, l.width}, 6));
    if (l.shift) in.push_back(random_normal({l.groups, l.width}, 7));
    const auto shift = [l](std::span<const Tensor> x) { return l.shift ? x.back() : Tensor(); };
    const auto residual = [l](std::span<const Tensor> x) { return l.residual ? x[5] : Tensor(); };
    const auto outputs = [l](const Tensor& y, const Tensor& sum) {
      return l.residual || l.shift ? std::vector{y, sum} : std::vector{y};
    };
    const long long before = cuda::launches();
    const auto one = numbers_of(
        [&](std::span<const Tensor> x) {
          const auto [y, sum] =
              norm_linear({x[0], x[3], x[4], 1e-5, residual(x), shift(x)}, x[1], x[2]);
          return outputs(y, sum);
        },
        in);
    const long long between = cuda::launches();
    const auto two = numbers_of(
        [&](std::span<const Tensor> x) {
          const Normalized n = layer_norm(x[0], x[3], x[4], 1e-5, residual(x), shift(x));
          return outputs(linear(n.y, x[1], x[2]), n.s);
        },
        in);
    CHECK(one == two);
    if (l.width > 256 || cuda::open().major < 8) continue;
    CHECK(between - before < cuda::launches() - between);
  }
}

TEST_CASE("cuda: several layers of one x give the bits of the layers apart, in fewer launches") {
  for (const Index rows : {1, 4, 70, 300}) {
    CAPTURE(rows);
    std::vector<Tensor> in{random_normal({rows, 64}, 1)};
    for (std::uint64_t i = 0; i < 3; ++i) {
      in.push_back(random_normal({72, 64}, 10 + i, 0.1));
      in.push_back(random_normal({72}, 20 + i));
    }
    const long long before = cuda::launches();
    const auto one = numbers_of(
        [](std::span<const Tensor> x) {
          const auto y =
              linears(x[0], std::vector<LinearLayer>{{x[1], x[2]}, {x[3], x[4]}, {x[5], x[6]}});
          return std::vector{add(add(y[0], y[1]), y[2])};
        },
        in);
    const long long between = cuda::launches();
    const auto apart = numbers_of(
        [](std::span<const Tensor> x) {
          const Tensor y[] = {linear(x[0], x[1], x[2]), linear(x[0], x[3], x[4]),
                              linear(x[0], x[5], x[6])};
          return std::vector{add(add(y[0], y[1]), y[2])};
        },
        in);
    CHECK(one == apart);
    if (rows > 256 || cuda::open().major < 8) continue;
    CHECK(between - before == cuda::launches() - between - 4);
  }
}
