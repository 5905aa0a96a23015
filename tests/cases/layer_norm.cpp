#include <algorithm>
#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

// Rows in which neighbours are about 2 apart: the deviation is far from 0, also of few numbers.
Tensor spread(const Shape& shape, std::uint64_t seed) {
  const Tensor x = random_normal(shape, seed, 0.4);
  for (Index i = 0; i < x.size(); ++i) x.data<double>()[i] += i % shape.back() % 2 == 0 ? 1 : -1;
  return x;
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put_as = [&](std::string name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    options.step = std::min(options.step, 0.02);
    if (options.zero.empty()) options.composite = make(layer_norm_composite);
    list.push_back({std::move(name), std::move(inputs), make(layer_norm), std::move(options)});
  };
  // x, gamma, beta; or those, residual, shift, of which either may be undefined.
  const auto put = [&](std::string name, std::vector<Tensor> inputs, GradcheckOptions options = {},
                       double eps = 1e-5) {
    const auto make = [eps](auto op) {
      return [eps, op](std::span<const Tensor> in) {
        if (in.size() == 3) return std::vector{op(in[0], in[1], in[2], eps, {}, {}).y};
        const Normalized n = op(in[0], in[1], in[2], eps, in[3], in[4]);
        return std::vector{n.y, n.s};
      };
    };
    put_as(std::move(name), std::move(inputs), make, std::move(options));
  };
  const auto of = [](const Tensor& x, std::uint64_t seed) {
    const Index width = x.shape().back();
    return std::vector<Tensor>{x, random_uniform({width}, seed, 0.5, 1.5),
                               random_normal({width}, seed + 1)};
  };
  const auto plain = [&](const Shape& shape, std::uint64_t seed) {
    return of(spread(shape, seed), seed + 1);
  };
  const Tensor gamma = random_uniform({6}, 1, 0.5, 1.5);
  const Tensor beta = random_normal({6}, 2);
  put("rows", {random_normal({5, 6}, 3), gamma, beta});
  put("rank3_tail", {random_normal({2, 3, 17}, 4), random_normal({17}, 5), random_normal({17}, 6)});
  put("many_rows", {random_normal({300, 6}, 7), gamma, beta});
  put("residual",
      {random_normal({4, 3, 6}, 8), gamma, beta, random_normal({4, 3, 6}, 9), Tensor()});
  put("residual_and_shift", {random_normal({4, 3, 6}, 10), gamma, beta,
                             random_normal({4, 3, 6}, 11), random_normal({2, 6}, 12)});
  put("shift_only", {random_normal({4, 6}, 13), gamma, beta, Tensor(), random_normal({4, 6}, 14)});

  const Shape shapes[] = {{3},          {4, 3},          {2, 2, 3},
                          {2, 1, 2, 3}, {1, 2, 1, 2, 3}, {2, 1, 1, 2, 1, 3}};
  for (const Shape& shape : shapes) {
    const auto seed = 20 + static_cast<std::uint64_t>(5 * shape.rank());
    std::vector<Tensor> in = plain(shape, seed);
    put(fmt::format("rank{}", shape.rank()), in);
    in.push_back(spread(shape, seed + 3));
    in.push_back(spread({1, 3}, seed + 4));
    put(fmt::format("rank{}_residual_and_shift", shape.rank()), in);
    put(fmt::format("rank{}_residual", shape.rank()), {in[0], in[1], in[2], in[3], Tensor()});
    put(fmt::format("rank{}_shift", shape.rank()), {in[0], in[1], in[2], Tensor(), in[4]});
  }
  // Without an eps of some size, two numbers normalise to 1 and -1 almost exactly.
  put("width_2", plain({3, 2}, 60), {}, 0.1);
  put("width_15", plain({2, 15}, 63));
  put("width_16", plain({2, 16}, 66));
  put("width_31", plain({2, 31}, 69));
  put("width_33", plain({1, 33}, 72));
  put("width_63", plain({1, 63}, 75));
  put("width_65", plain({2, 65}, 78));
  put("width_4097", plain({1, 4097}, 81));
  // The parameters' gradients are cut every 128 rows, and a shift's within its group.
  put("rows_127", plain({127, 3}, 84));
  put("rows_128", plain({128, 3}, 87));
  put("rows_129", plain({129, 3}, 90));
  for (const Index rows : {Index{127}, Index{128}, Index{129}}) {
    std::vector<Tensor> in = plain({2, rows, 3}, 93 + static_cast<std::uint64_t>(rows));
    in.push_back(Tensor());
    in.push_back(spread({2, 3}, 92));
    put(fmt::format("group_{}", rows), in);
  }
  // A gamma whose products are exact, so that the zeros are, too.
  const std::string constant = "one number normalises to 0, whatever it is";
  const Tensor half = Tensor::full({1}, 0.5, DType::f64);
  put("width_1", {random_normal({3, 1}, 230), half, random_normal({1}, 231)},
      zero_gradient({0, 1}, constant));
  put("one_element", {random_normal({1}, 233), half, random_normal({1}, 234)},
      zero_gradient({0, 1}, constant));
  put("no_rows", plain({0, 3}, 236), zero_gradient({1, 2}, kEmptyResult));
  put("no_rows_residual_and_shift",
      {random_normal({0, 6}, 239), gamma, beta, random_normal({0, 6}, 240),
       random_normal({2, 6}, 241)},
      zero_gradient({1, 2, 4}, kEmptyResult));
  put("no_rows_residual",
      {random_normal({0, 6}, 239), gamma, beta, random_normal({0, 6}, 240), Tensor()},
      zero_gradient({1, 2}, kEmptyResult));

  std::vector<Tensor> training = of(random_normal({2, 5, 17, 16}, 290), 291);
  put("in_training", training);
  training.push_back(random_normal({2, 5, 17, 16}, 293));
  training.push_back(Tensor());
  put("in_training_residual", training);
  training[4] = random_normal({2, 16}, 294);
  put("in_training_residual_and_shift", training);

  const std::vector<Tensor> all = {random_normal({4, 6}, 250), gamma, beta,
                                   random_normal({4, 6}, 251), random_normal({2, 6}, 252)};
  put("x_constant", all, constant_inputs({0}));
  put("gamma_constant", all, constant_inputs({1}));
  put("beta_constant", all, constant_inputs({2}));
  put("residual_constant", all, constant_inputs({3}));
  put("shift_constant", all, constant_inputs({4}));
  put("parameters_constant", plain({3, 4}, 253), constant_inputs({1, 2}));
  put("parameters_alone", plain({3, 4}, 256), constant_inputs({0}));
  put("gamma_alone", all, constant_inputs({0, 2, 3, 4}));
  put("shift_alone", all, constant_inputs({0, 1, 2, 3}));

  // With eps of 1e-5 beside it, a variance far below that is next to constant.
  const auto of_small = [&](const std::string& name, const Tensor& x, double step, double eps) {
    GradcheckOptions options = constant_inputs({1, 2});
    options.step = step;
    put(name, of(x, 261), options, eps);
    put(name + "_parameters", of(x, 263), constant_inputs({0}), eps);
  };
  of_small("tiny", random_normal({3, 5}, 260, 1e-6), 1e-3, 1e-5);
  of_small("tiny_and_eps", random_normal({3, 5}, 264, 1e-6), 1e-7, 1e-12);
  of_small("almost_constant_rows", random_normal({3, 5}, 275, 1e-4, 0.05), 1e-3, 1e-5);
  of_small("variance_of_eps", random_normal({3, 5}, 279, 1e-4, 0.05), 1e-5, 1e-8);
  put("huge", of(random_normal({3, 5}, 268, 1e6), 269));
  put("huge_parameters",
      {random_normal({3, 5}, 272), random_normal({5}, 273, 1e6), random_normal({5}, 274, 1e6)});
  put("constant_rows", of(Tensor::full({3, 5}, 2, DType::f64), 283), [] {
    GradcheckOptions options = zero_gradient({1}, "a constant row normalises to 0");
    options.step = 1e-3;
    return options;
  }());
  // The mean is far from 0 beside the deviation.
  put("shifted", of(random_normal({3, 5}, 286, 1, 100), 287), steps_from(1e-3));

  // x is its own residual: its gradient arrives twice.
  const auto own_residual = [](auto op) {
    return [op](std::span<const Tensor> in) {
      const Normalized n = op(in[0], in[1], in[2], 1e-5, in[0], {});
      return std::vector{n.y, n.s};
    };
  };
  put_as("same_tensor_twice", {random_normal({3, 6}, 15), gamma, beta}, own_residual);
  const auto everywhere = [](auto op) {
    return [op](std::span<const Tensor> in) {
      const Normalized n = op(in[0], in[1], in[1], 1e-5, in[0], in[0]);
      return std::vector{n.y, n.s};
    };
  };
  put_as("same_tensor_everywhere", {random_normal({3, 6}, 290), gamma}, everywhere);
  const auto stream = [](auto op) {
    return [op](std::span<const Tensor> in) {
      const Normalized n = op(in[0], in[1], in[2], 1e-5, in[3], {});
      const Normalized next = op(n.y, in[1], in[2], 1e-5, n.s, {});
      return std::vector{add(next.y, next.s), n.y};
    };
  };
  put_as("residual_stream", {random_normal({3, 6}, 291), gamma, beta, random_normal({3, 6}, 292)},
         stream);
  const auto two_calls = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1], in[2], 1e-5, {}, {}).y,
                         op(in[0], in[2], in[1], 1e-5, {}, {}).y};
    };
  };
  put_as("two_calls", {spread({3, 6}, 293), gamma, beta}, two_calls);
  return list;
}

struct Rows {
  Index rows, width, groups;

  // x, and what is added to it.
  long double sum(const std::vector<Numbers>& in, Index r, Index i) const {
    const auto at = static_cast<std::size_t>(r * width + i);
    long double value = in[0][at];
    if (!in[3].empty()) value += in[3][at];
    if (!in[4].empty()) value += in[4][static_cast<std::size_t>(r / (rows / groups) * width + i)];
    return value;
  }
  Numbers sums(const std::vector<Numbers>& in) const {
    Numbers s;
    for (Index r = 0; r < rows; ++r) {
      for (Index i = 0; i < width; ++i) s.push_back(sum(in, r, i));
    }
    return s;
  }
  Numbers normalised(double eps, const std::vector<Numbers>& in) const {
    const auto count = static_cast<long double>(width);
    Numbers y;
    for (Index r = 0; r < rows; ++r) {
      long double mean_of_row = 0;
      long double variance = 0;
      for (Index i = 0; i < width; ++i) mean_of_row += sum(in, r, i) / count;
      for (Index i = 0; i < width; ++i) {
        const long double off = sum(in, r, i) - mean_of_row;
        variance += off * off / count;
      }
      const long double deviation = std::sqrt(variance + static_cast<long double>(eps));
      for (Index i = 0; i < width; ++i) {
        const auto c = static_cast<std::size_t>(i);
        y.push_back((sum(in, r, i) - mean_of_row) / deviation * in[1][c] + in[2][c]);
      }
    }
    return y;
  }
};

void values(const CheckValues& check) {
  for (const Index rows : {0, 2, 34}) {
    for (const Index width : {1, 17, 33}) {
      for (const bool summed : {false, true}) {
        const std::vector<Tensor> inputs{random_normal({rows, width}, 1), random_normal({width}, 2),
                                         random_normal({width}, 3),
                                         summed ? random_normal({rows, width}, 4) : Tensor(),
                                         summed ? random_normal({2, width}, 5) : Tensor()};
        const Rows all{rows, width, rows > 0 ? 2 : 1};
        if (summed) {
          // The sum is rounded to bf16 before it is normalised; its own values are compared.
          const Tensor sums =
              layer_norm(inputs[0], inputs[1], inputs[2], 1e-2, inputs[3], inputs[4]).s;
          std::vector<Numbers> plain;
          for (const Tensor& t : inputs) plain.push_back(numbers_of(t));
          const std::vector<double> got = sums.to_doubles();
          const Numbers expected = all.sums(plain);
          for (std::size_t i = 0; i < got.size(); ++i) {
            const double error = std::fabs(got[i] - static_cast<double>(expected[i]));
            if (error > 1e-14 * (1 + std::fabs(got[i]))) {
              fail("layer_norm: a sum differs by {} from {}", error, got[i]);
            }
          }
        }
        check(
            "", inputs,
            [](std::span<const Tensor> in) {
              return layer_norm(in[0], in[1], in[2], 1e-2, in[3], in[4]).y;
            },
            [&](const auto& in) { return all.normalised(1e-2, in); });
      }
    }
  }
}

std::vector<ModelCall> calls() {
  const auto inputs = [] {
    return std::vector{random_normal(kTokens, 1), random_normal({kWidth}, 2),
                       random_normal({kWidth}, 3), random_normal(kTokens, 4),
                       random_normal({kBatch, kWidth}, 5)};
  };
  const auto call = [&](std::string name, std::size_t count) {
    return ModelCall{std::move(name),
                     [=] {
                       std::vector<Tensor> in = inputs();
                       in.resize(count);
                       return in;
                     },
                     [=](std::span<const Tensor> in) {
                       const Tensor residual = count > 3 ? in[3] : Tensor();
                       const Tensor shift = count > 4 ? in[4] : Tensor();
                       return std::vector{layer_norm(in[0], in[1], in[2], 1e-5, residual, shift).y};
                     }};
  };
  return {call("", 3), call("residual", 4), call("residual_and_shift", 5)};
}

DrawnCall draw(Draw& d) {
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const Index width = shape.back();
  const Index rows = shape.outer(shape.rank() - 1);
  const int gamma = d.of({width});
  const int beta = d.of({width});
  const int residual = d.chance(0.5) ? d.of(shape) : kLeftOut;
  Index groups = 1;
  int shift = kLeftOut;
  if (rows > 0 && d.chance(0.4)) {
    const Index wanted = 1 + d.below(rows);
    groups = rows;
    while (groups > wanted || rows % groups != 0) --groups;
    shift = d.of({groups, width});
  }
  // Without an eps of some size, two numbers normalise to 1 and -1 almost exactly.
  const double eps = width == 2 ? 0.1 : d.one_of<double>({1e-5, 1e-5, 1e-3, 0.1});
  const auto call = [eps](const auto& op) {
    return [=](std::span<const Tensor> in) {
      const Normalized n = op(in[0], in[1], in[2], eps, in[3], in[4]);
      return std::vector{n.y, n.s};
    };
  };
  const Rows all{rows, width, groups};
  return {{x, gamma, beta, residual, shift},
          call(layer_norm),
          fmt::format("layer_norm(@0, @1, @2, {}, @3, @4)", eps),
          {[=](const auto& in) { return all.normalised(eps, in); },
           [=](const auto& in) { return all.sums(in); }},
          call(layer_norm_composite),
          false,
          {"y", "s"}};
}

}  // namespace

const Facts layer_norm_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .ulp = {{-1, 4.0, 1.7},
            {0, 13.6, 2.4},
            {1, 11.2, 1.2},
            {2, 32.0, 0.7},
            {3, 8.2, 1.3},
            {4, 7.2, 1.3}},
    .drawn = {{-1, 3.5, 2.1, 7.6},
              {0, 140.6, 3.3},
              {1, 6.4, 1.8},
              {2, 11.3, 0.5},
              {3, 140.6, 3.3},
              {4, 140.6, 2.6}},
};

}  // namespace posetape
