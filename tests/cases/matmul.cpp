#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  const auto with = [](bool transpose_a, bool transpose_b) {
    return [=](std::span<const Tensor> in) {
      return std::vector{matmul(in[0], in[1], {transpose_a, transpose_b})};
    };
  };
  const auto f = with(false, false);
  const auto inputs = [](const Shape& a, const Shape& b, std::uint64_t seed, double scale = 1) {
    return std::vector<Tensor>{random_normal(a, seed, scale), random_normal(b, seed + 1, scale)};
  };
  std::vector<Tensor> no_inner = inputs({2, 0}, {0, 3}, 50);
  no_inner.push_back(random_normal({2}, 52));
  std::vector<Case> list = {
      {"matrices", inputs({3, 4}, {4, 5}, 10), f},
      {"one_element", inputs({1, 1}, {1, 1}, 12), f},
      {"vectors", inputs({1, 17}, {17, 1}, 14), f},
      {"outer_product", inputs({5, 1}, {1, 4}, 16), f},
      {"tails", inputs({3, 33}, {33, 2}, 18), f},
      {"batch", inputs({3, 2, 4}, {3, 4, 5}, 20), f},
      {"batch_rank4", inputs({2, 3, 2, 3}, {2, 3, 3, 2}, 22), f},
      {"batch_rank5", inputs({2, 1, 2, 2, 3}, {2, 1, 2, 3, 2}, 60), f},
      {"batch_rank6", inputs({1, 2, 1, 2, 2, 3}, {1, 2, 1, 2, 3, 2}, 62), f},
      {"shared", inputs({3, 2, 4}, {4, 5}, 24), f},
      {"shared_rank4", inputs({2, 2, 3, 2}, {2, 4}, 26), f},
      {"shared_rank5", inputs({2, 1, 2, 3, 2}, {2, 4}, 64), f},
      {"shared_rank6", inputs({1, 2, 1, 2, 3, 2}, {2, 4}, 66), f},
      {"transpose_a", inputs({3, 4, 2}, {3, 4, 5}, 28), with(true, false)},
      {"transpose_b", inputs({3, 2, 4}, {3, 5, 4}, 30), with(false, true)},
      {"transpose_both", inputs({2, 4, 3}, {2, 5, 4}, 32), with(true, true)},
      {"transpose_both_matrices", inputs({4, 3}, {5, 4}, 34), with(true, true)},
      {"shared_transpose_b", inputs({3, 2, 4}, {5, 4}, 36), with(false, true)},
      // Leading dimensions that are repeated.
      {"batch_of_one_a", inputs({1, 2, 4}, {3, 4, 5}, 110), f},
      {"batch_of_one_b", inputs({3, 2, 4}, {1, 4, 5}, 112), f},
      {"one_a", inputs({2, 4}, {3, 4, 5}, 114), f},
      {"fewer_of_b", inputs({2, 3, 2, 4}, {3, 4, 5}, 116), f},
      {"crossed", inputs({2, 1, 2, 3}, {3, 3, 2}, 118), f},
      {"crossed_transposed", inputs({2, 1, 3, 2}, {1, 3, 2, 3}, 120), with(true, true)},
      {"one_b_transpose_a", inputs({3, 4, 2}, {4, 5}, 122), with(true, false)},
      {"batch_of_one_transpose_a", inputs({1, 4, 2}, {1, 4, 3}, 68), with(true, false)},
      {"many_rows", inputs({700, 3, 4}, {4, 5}, 38), f},
      // A long sum is cut from 2048 terms on.
      {"inner_511", inputs({2, 511}, {511, 2}, 70), f},
      {"inner_512", inputs({2, 512}, {512, 2}, 72), f},
      {"inner_513", inputs({2, 513}, {513, 2}, 74), f},
      {"inner_513_transposed", inputs({513, 2}, {2, 513}, 76), with(true, true)},
      {"inner_2047", inputs({2, 2047}, {2047, 1}, 78), f},
      {"inner_2048", inputs({1, 2048}, {2048, 2}, 80), f},
      {"long_sum", inputs({3, 2500}, {2500, 4}, 40), f},
      {"long_sum_transposed", inputs({2500, 2}, {3, 2500}, 82), with(true, true)},
      {"long_sum_of_a_batch", inputs({2, 1, 2049}, {2, 2049, 1}, 84), f},
      {"long_sum_backward", inputs({2500, 2}, {2, 1}, 86), f},
      {"empty_batch", inputs({0, 3, 4}, {4, 5}, 44), f, zero_gradient({1}, kEmptyResult)},
      {"no_rows", inputs({0, 3}, {3, 2}, 54), f, zero_gradient({1}, kEmptyResult)},
      {"no_columns", inputs({2, 3}, {3, 0}, 56), f, zero_gradient({0}, kEmptyResult)},
      {"no_inner", no_inner, beside_last(f)},
      {"a_constant", inputs({2, 2, 3}, {2, 3, 2}, 90), f, constant_inputs({0})},
      {"b_constant", inputs({2, 2, 3}, {2, 3, 2}, 92), f, constant_inputs({1})},
      {"a_constant_shared", inputs({2, 2, 3}, {3, 2}, 94), f, constant_inputs({0})},
      {"b_constant_shared", inputs({2, 2, 3}, {3, 2}, 96), f, constant_inputs({1})},
      {"tiny", inputs({2, 3}, {3, 4}, 98, 1e-6), f},
      {"huge", inputs({2, 3}, {3, 4}, 100, 1e6), f},
      {"square_of_a_tensor",
       {random_normal({4, 4}, 46)},
       [](std::span<const Tensor> in) { return std::vector{matmul(in[0], in[0])}; }},
      {"gram",
       {random_normal({3, 5}, 48)},
       [](std::span<const Tensor> in) {
         return std::vector{matmul(in[0], in[0], {.transpose_b = true})};
       }},
      {"two_calls",
       {random_normal({3, 4}, 102), random_normal({4, 2}, 103), random_normal({5, 4}, 104)},
       [](std::span<const Tensor> in) {
         return std::vector{matmul(in[0], in[1]), matmul(in[0], in[2], {.transpose_b = true})};
       }},
  };
  // Around the tiles of the product, 6 or 12 rows of 4 to 32 columns, and the blocks of 8 tiles; k
  // and m take the part of the rows and columns in the gradients.
  struct Size {
    Index m, n, k;
  };
  constexpr Size kSizes[] = {{5, 7, 3},   {6, 8, 3},   {7, 9, 3},  {11, 15, 2}, {12, 16, 2},
                             {13, 17, 2}, {12, 31, 1}, {6, 32, 1}, {13, 33, 1}, {2, 63, 1},
                             {1, 65, 2},  {2, 3, 13},  {3, 2, 33}, {47, 2, 1},  {48, 1, 2},
                             {49, 2, 1},  {96, 1, 2},  {97, 2, 1}, {1, 97, 1},  {1, 2, 97}};
  std::uint64_t seed = 200;
  for (const auto& [m, n, k] : kSizes) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        list.push_back(
            {fmt::format("{}_{}x{}x{}", ta ? (tb ? "tt" : "tn") : (tb ? "nt" : "nn"), m, n, k),
             inputs(ta ? Shape{k, m} : Shape{m, k}, tb ? Shape{n, k} : Shape{k, n}, seed),
             with(ta, tb)});
        seed += 2;
      }
    }
  }
  return list;
}

struct Product {
  Shape a, b;
  bool transpose_a = false, transpose_b = false;

  static Shape leading(const Shape& shape) {
    return Shape(shape.dims().first(static_cast<std::size_t>(shape.rank() - 2)));
  }
  Shape batch() const { return broadcast("values", leading(a), leading(b)); }
  Index inner() const { return transpose_a ? a[-2] : a[-1]; }
  Shape result() const {
    const Shape of_all = batch();
    std::vector<Index> dims(of_all.dims().begin(), of_all.dims().end());
    dims.insert(dims.end(), {transpose_a ? a[-1] : a[-2], transpose_b ? b[-2] : b[-1]});
    return Shape(dims);
  }
  Numbers reference(const std::vector<Numbers>& in) const {
    const Shape c = result();
    const Index m = c[-2];
    const Index n = c[-1];
    const Index k = inner();
    Numbers values;
    each_index(batch(), [&](const std::vector<Index>& i, std::size_t) {
      const auto* pa = in[0].data() + static_cast<Index>(place_in(leading(a), i)) * m * k;
      const auto* pb = in[1].data() + static_cast<Index>(place_in(leading(b), i)) * k * n;
      for (Index r = 0; r < m; ++r) {
        for (Index s = 0; s < n; ++s) {
          long double dot = 0;
          for (Index t = 0; t < k; ++t) {
            dot += (transpose_a ? pa[t * m + r] : pa[r * k + t]) *
                   (transpose_b ? pb[s * k + t] : pb[t * n + s]);
          }
          values.push_back(dot);
        }
      }
    });
    return values;
  }
};

void values(const CheckValues& check) {
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
      {{2, 3}, {4, 3, 2}},
      {{2, 1, 2, 3}, {4, 3, 2}},
      {{3, 2, 4, 2}, {1, 2, 5}},
      {{2, 1, 3, 2}, {1, 4, 5, 3}, true, true},
      {{3, 4, 2}, {4, 5}, true, false},
      {{0, 1, 2, 3}, {4, 3, 2}},
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
    const auto f = [&](std::span<const Tensor> in) {
      return of_shape(p.result(), matmul(in[0], in[1], {p.transpose_a, p.transpose_b}));
    };
    const auto reference = [&](const auto& in) { return p.reference(in); };
    const std::string label = a.text() + b.text();
    const double spread = p.inner() > 100 ? 0.1 : 1;  // long sums of the order of 1
    const Tensor x = random_normal(a, 1, spread);
    const Tensor y = random_normal(b, 2, spread);
    check(label, {x, y}, f, reference);
    if (x.size() > 0) check("nan", {with_nan(x, 0), y}, f, reference);
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             return std::vector{random_normal({kBatch * kFrames * kJoints, kWidth}, 1),
                                random_normal({kWidth, kWidth}, 2)};
           },
           [](std::span<const Tensor> in) { return std::vector{matmul(in[0], in[1])}; }}};
}

DrawnCall draw(Draw& d) {
  Product p;
  const int a = d.any(2);
  p.a = d.shape_of(a);
  p.transpose_a = d.chance(0.4);
  p.transpose_b = d.chance(0.5);
  const Index k = p.inner();
  const Index rows = p.a.size() / std::max<Index>(1, k);
  const Index n = d.extent(std::max(rows, k));
  const Index first = p.transpose_b ? n : k;
  const Index second = p.transpose_b ? k : n;
  // One matrix for all, a batch of them, or one that is repeated.
  if (d.chance(0.4)) {
    p.b = {first, second};
  } else {
    p.b = p.a.with(-2, first).with(-1, second);
    for (int i = 0; i < p.b.rank() - 2; ++i) {
      if (d.chance(0.2)) p.b = p.b.with(i, 1);
    }
  }
  const double spread = 1 / std::sqrt(1.0 + static_cast<double>(k));
  return {{a, d.of(p.b, spread)},
          [=](std::span<const Tensor> in) {
            return std::vector{matmul(in[0], in[1], {p.transpose_a, p.transpose_b})};
          },
          fmt::format("matmul(@0, @1, {{{}, {}}})", p.transpose_a, p.transpose_b),
          {[=](const auto& in) { return p.reference(in); }}};
}

}  // namespace

const Facts matmul_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  matmul(zeros({2, 3}), zeros({2, 3}));
                },
                [] {
                  matmul(zeros({3}), zeros({3, 2}));
                },
                [] {
                  matmul(zeros({2, 2, 3}), zeros({3, 3, 2}));
                },
                [] {
                  matmul(zeros({2, 1, 2, 3}), zeros({2, 3, 3, 2}), {.transpose_a = true});
                }},
    .ulp = {{-1, 18.1, 0.5}, {0, 192.8, 0.8}, {1, 9.8, 1.3}, {2, 1.0, 0.4}},
    .drawn = {{-1, 14.2, 0.5, 10.1}, {0, 5.3, 0.5}, {1, 8.6, 1.5}},
};

}  // namespace posetape
