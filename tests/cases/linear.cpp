#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put_as = [&](std::string name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    list.push_back({std::move(name), std::move(inputs), make(linear),
                    with_composite(make(linear_composite), std::move(options))});
  };
  const auto put = [&](std::string name, std::vector<Tensor> inputs,
                       Activation activation = Activation::none, GradcheckOptions options = {}) {
    const auto make = [activation](auto op) {
      return [activation, op](std::span<const Tensor> in) {
        return std::vector{op(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), activation)};
      };
    };
    if (activation != Activation::none) options.step = 0.01;
    put_as(std::move(name), std::move(inputs), make, std::move(options));
  };
  const auto sized = [](Index rows, Index in, Index out, std::uint64_t seed) {
    return std::vector<Tensor>{random_normal({rows, in}, seed), random_normal({out, in}, seed + 1),
                               random_normal({out}, seed + 2)};
  };
  const Tensor w = random_normal({4, 5}, 1);
  const Tensor b = random_normal({4}, 2);
  put("bias", {random_normal({7, 5}, 3), w, b});
  put("no_bias", {random_normal({2, 3, 5}, 4), w});
  put("gelu", {random_normal({6, 5}, 5), w, b}, Activation::gelu);
  put("silu", {random_normal({6, 5}, 6), w, b}, Activation::silu);
  put("gelu_no_bias", {random_normal({6, 5}, 7), w}, Activation::gelu);
  put("silu_no_bias", {random_normal({6, 5}, 8), w}, Activation::silu);

  const Tensor narrow = random_normal({3, 2}, 9);
  const Tensor bias = random_normal({3}, 10);
  const Shape shapes[] = {{2},          {3, 2},          {2, 3, 2},
                          {2, 1, 2, 2}, {1, 2, 1, 2, 2}, {1, 2, 1, 2, 1, 2}};
  for (const Shape& shape : shapes) {
    const Tensor x = random_normal(shape, 20 + static_cast<std::uint64_t>(shape.rank()));
    const int rank = shape.rank();
    put(fmt::format("rank{}", rank), {x, narrow, bias});
    put(fmt::format("rank{}_no_bias", rank), {x, narrow});
    put(fmt::format("rank{}_gelu", rank), {x, narrow, bias}, Activation::gelu);
    put(fmt::format("rank{}_gelu_no_bias", rank), {x, narrow}, Activation::gelu);
    put(fmt::format("rank{}_silu", rank), {x, narrow, bias}, Activation::silu);
    put(fmt::format("rank{}_silu_no_bias", rank), {x, narrow}, Activation::silu);
  }

  // Around the tiles of the product: 6 or 12 rows of 4 to 32 columns.
  std::uint64_t seed = 100;
  for (const auto& [rows, out] : {std::pair<Index, Index>{5, 7},
                                  {6, 8},
                                  {7, 9},
                                  {11, 15},
                                  {12, 16},
                                  {13, 17},
                                  {12, 31},
                                  {6, 32},
                                  {13, 33},
                                  {2, 63},
                                  {1, 65}}) {
    put(fmt::format("tile_{}x{}", rows, out), sized(rows, 3, out, seed));
    seed += 3;
  }
  put("inner_511", sized(2, 511, 2, 140));
  put("inner_512", sized(2, 512, 2, 143));
  put("inner_513", sized(2, 513, 2, 146));
  put("inner_513_silu", sized(3, 513, 2, 149), Activation::silu);
  // The bias's gradient is cut every 128 rows, the weight's from 2048 rows on.
  put("rows_127", sized(127, 2, 3, 160));
  put("rows_128", sized(128, 2, 3, 163), Activation::gelu);
  put("rows_129", sized(129, 2, 3, 166), Activation::silu);
  put("rows_2047", sized(2047, 1, 2, 169));
  put("rows_2048", sized(2048, 1, 2, 172));
  put("long_sum", {random_normal({2500, 5}, 8, 0.1), w, b});
  put("long_sum_gelu", sized(4200, 2, 4, 175), Activation::gelu);

  // Layers of an MLP.
  put("mlp_first", sized(3, 34, 144, 240), Activation::gelu, constant_inputs({0}));
  put("mlp_hidden", sized(3, 32, 144, 249), Activation::gelu);

  put("one_element", sized(1, 1, 1, 180), Activation::silu);
  put("no_rows", sized(0, 3, 2, 183), Activation::none, zero_gradient({1, 2}, kEmptyResult));
  put("no_rows_gelu", sized(0, 3, 2, 186), Activation::gelu, zero_gradient({1, 2}, kEmptyResult));
  put("no_features", sized(3, 0, 2, 189), Activation::silu);
  put("no_outputs", sized(3, 2, 0, 192), Activation::none, zero_gradient({0}, kEmptyResult));

  put("x_constant", sized(3, 2, 4, 200), Activation::silu, constant_inputs({0}));
  put("weight_constant", sized(3, 2, 4, 203), Activation::gelu, constant_inputs({1}));
  put("bias_constant", sized(3, 2, 4, 206), Activation::silu, constant_inputs({2}));
  put("weight_alone", sized(3, 2, 4, 209), Activation::none, constant_inputs({0, 2}));
  put("bias_alone", sized(3, 2, 4, 212), Activation::gelu, constant_inputs({0, 1}));

  put("tiny", {random_normal({3, 2}, 220, 1e-6), random_normal({4, 2}, 221, 1e-6),
               random_normal({4}, 222, 1e-12)});
  put("tiny_gelu",
      {random_normal({3, 2}, 223, 1e-6), random_normal({4, 2}, 224), random_normal({4}, 225, 1e-6)},
      Activation::gelu);
  put("huge", {random_normal({3, 2}, 226, 1e6), random_normal({4, 2}, 227, 1e6)});
  put("huge_x",
      {random_normal({3, 2}, 226, 1e6), random_normal({4, 2}, 227), random_normal({4}, 228, 1e6)});
  // Linear, or 0, on most of the outputs.
  const std::vector<Tensor> far = {random_normal({5, 2}, 229, 8), random_normal({4, 2}, 230, 2),
                                   random_normal({4}, 231)};
  put("gelu_saturated", far, Activation::gelu);
  put("silu_saturated", far, Activation::silu);

  const auto square = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[0], Tensor(), Activation::gelu)};
    };
  };
  put_as("same_tensor_twice", {random_normal({4, 4}, 240)}, square, steps_from(0.01));
  const auto two_calls = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1], in[2], Activation::silu),
                         op(in[3], in[1], in[2], Activation::none)};
    };
  };
  put_as("two_calls", {random_normal({3, 2}, 241), narrow, bias, random_normal({2, 2}, 242)},
         two_calls, steps_from(0.01));

  // What the networks call: rows of a batch of sequences, weights of more rows than one chunk.
  const Tensor tokens = random_normal({2, 5, 17, 16}, 250, 0.5);
  const Tensor embedded = random_normal({2, 16}, 251);
  const Tensor wide = random_normal({144, 16}, 252, 0.3);
  const Tensor wide_bias = random_normal({144}, 253);
  put("in_training", {tokens, wide, wide_bias});
  put("in_training_gelu", {tokens, wide, wide_bias}, Activation::gelu);
  put("in_training_hidden", {tokens, random_normal({32, 16}, 261), random_normal({32}, 262)});
  put("in_training_no_bias", {tokens, wide});
  put("in_training_gelu_no_bias", {tokens, wide}, Activation::gelu);
  put("in_training_timestep", {embedded, wide, wide_bias});
  put("in_training_timestep_silu", {embedded, wide, wide_bias}, Activation::silu,
      constant_inputs({0}));
  put("in_training_output", {tokens, random_normal({3, 16}, 254), random_normal({3}, 255)});
  put("in_training_output_no_bias", {tokens, random_normal({3, 16}, 256)});
  put("in_training_input",
      {random_normal({2, 5, 17, 5}, 257), random_normal({144, 5}, 258), wide_bias},
      Activation::none, constant_inputs({0}));
  put("in_training_input_gelu_no_bias",
      {random_normal({2, 5, 17, 2}, 259), random_normal({144, 2}, 260)}, Activation::gelu,
      constant_inputs({0}));

  // Several layers of one x: x, then a weight and a bias of each.
  const auto several = [](std::span<const Tensor> in) {
    std::vector<LinearLayer> all;
    for (std::size_t i = 1; i < in.size(); i += 2) all.push_back({in[i], in[i + 1]});
    return linears(in[0], all);
  };
  const auto several_composite = [](std::span<const Tensor> in) {
    std::vector<Tensor> out;
    for (std::size_t i = 1; i < in.size(); i += 2) {
      out.push_back(linear_composite(in[0], in[i], in[i + 1], Activation::none));
    }
    return out;
  };
  const auto put_several = [&](std::string name, const Shape& x, Index out, int layers,
                               std::uint64_t of, bool with_bias = true,
                               GradcheckOptions options = {}) {
    std::vector<Tensor> in{random_normal(x, of)};
    for (int i = 0; i < layers; ++i) {
      in.push_back(random_normal({out, x.back()}, ++of));
      in.push_back(with_bias ? random_normal({out}, ++of) : Tensor());
    }
    list.push_back({std::move(name), std::move(in), several,
                    with_composite(several_composite, std::move(options))});
  };
  put_several("several", {3, 5}, 4, 3, 700);
  put_several("several_no_bias", {2, 2, 3}, 2, 2, 710, false);
  put_several("several_x_constant", {3, 5}, 4, 2, 720, true, constant_inputs({0}));
  put_several("several_one_constant", {3, 5}, 4, 2, 730, true, constant_inputs({1, 4}));
  put_several("several_many_rows", {300, 8}, 8, 2, 740);
  put_several("several_in_training", {2, 16}, 144, 2, 750);

  // Two layers, the first one's activation on its way to the second: x, weight, bias, weight, bias.
  const auto layers = [](Activation activation, bool twice = false) {
    return [=](std::span<const Tensor> in) {
      const Activated hidden = activated_linear(in[0], in[1], in[2], activation);
      std::vector<Tensor> out{linear_of_activated(hidden, in[3], in[4])};
      if (twice) out.push_back(linear_of_activated(hidden, in[3]));
      return out;
    };
  };
  const auto layers_composite = [](Activation activation, bool twice = false) {
    return [=](std::span<const Tensor> in) {
      const Tensor hidden = linear_composite(in[0], in[1], in[2], activation);
      std::vector<Tensor> out{linear_composite(hidden, in[3], in[4], Activation::none)};
      if (twice) out.push_back(linear_composite(hidden, in[3], {}, Activation::none));
      return out;
    };
  };
  const auto put_layers = [&](std::string name, std::vector<Tensor> inputs, Activation activation,
                              bool twice = false, GradcheckOptions options = {}) {
    options.step = 0.01;
    list.push_back({std::move(name), std::move(inputs), layers(activation, twice),
                    with_composite(layers_composite(activation, twice), std::move(options))});
  };
  const auto of_layers = [](const Shape& x, Index hidden, Index out, std::uint64_t of) {
    const double scale = 1 / std::sqrt(static_cast<double>(x.back()));
    return std::vector<Tensor>{
        random_normal(x, of), random_normal({hidden, x.back()}, of + 1, scale),
        random_normal({hidden}, of + 2), random_normal({out, hidden}, of + 3, scale),
        random_normal({out}, of + 4)};
  };
  put_layers("layers_gelu", of_layers({3, 5}, 4, 3, 300), Activation::gelu);
  put_layers("layers_silu", of_layers({2, 3, 2}, 5, 2, 310), Activation::silu);
  put_layers("layers_twice", of_layers({4, 3}, 4, 2, 320), Activation::gelu, true);
  put_layers("layers_first_constant", of_layers({4, 3}, 4, 2, 330), Activation::gelu, false,
             constant_inputs({0, 1, 2}));
  put_layers("layers_second_constant", of_layers({4, 3}, 4, 2, 340), Activation::silu, false,
             constant_inputs({3, 4}));
  put_layers("layers_in_training", of_layers({2, 5, 17, 16}, 72, 16, 350), Activation::gelu);

  // After a norm: x, weight, bias, gamma, beta, residual, shift. The sum is an output where
  // something is added, and the layer is the first of two, with the
  // eighth input, where there is an activation.
  const auto after_norm = [](Activation activation) {
    return [=](std::span<const Tensor> in) {
      const NormInput x{in[0], in[3], in[4], 1e-5, in[5], in[6]};
      if (activation == Activation::none) {
        auto [y, sum] = norm_linear(x, in[1], in[2]);
        return x.summed() ? std::vector{y, sum} : std::vector{y};
      }
      auto [hidden, sum] = activated_norm_linear(x, in[1], in[2], activation);
      const Tensor y = linear_of_activated(hidden, in[7]);
      return x.summed() ? std::vector{y, sum} : std::vector{y};
    };
  };
  const auto after_norm_composite = [](Activation activation) {
    return [=](std::span<const Tensor> in) {
      const Normalized n = layer_norm_composite(in[0], in[3], in[4], 1e-5, in[5], in[6]);
      Tensor y = linear_composite(n.y, in[1], in[2], activation);
      if (activation != Activation::none) y = linear_composite(y, in[7], {}, Activation::none);
      return in[5].defined() || in[6].defined() ? std::vector{y, n.s} : std::vector{y};
    };
  };
  const auto put_normed = [&](std::string name, std::vector<Tensor> inputs,
                              Activation activation = Activation::none,
                              GradcheckOptions options = {}) {
    options.step = 0.01;
    if (activation != Activation::none) {
      const Index hidden = inputs[1].shape()[0];
      inputs.push_back(random_normal({3, hidden}, 600, 1 / std::sqrt(static_cast<double>(hidden))));
    }
    list.push_back({std::move(name), std::move(inputs), after_norm(activation),
                    with_composite(after_norm_composite(activation), std::move(options))});
  };
  const auto of_norm = [](const Shape& x, Index out, std::uint64_t of, bool residual,
                          Index groups) {
    const Index width = x.back();
    const double scale = 1 / std::sqrt(static_cast<double>(width));
    return std::vector<Tensor>{random_normal(x, of),
                               random_normal({out, width}, of + 1, scale),
                               random_normal({out}, of + 2),
                               random_normal({width}, of + 3),
                               random_normal({width}, of + 4),
                               residual ? random_normal(x, of + 5) : Tensor(),
                               groups > 0 ? random_normal({groups, width}, of + 6) : Tensor()};
  };
  put_normed("norm", of_norm({3, 5}, 4, 400, false, 0));
  put_normed("norm_residual", of_norm({3, 5}, 4, 410, true, 0));
  put_normed("norm_shift", of_norm({2, 3, 5}, 4, 420, false, 2));
  put_normed("norm_residual_shift", of_norm({4, 6}, 3, 430, true, 2));
  put_normed("norm_gelu", of_norm({3, 5}, 5, 440, true, 0), Activation::gelu);
  put_normed("norm_silu", of_norm({3, 5}, 5, 450, false, 3), Activation::silu);
  put_normed("norm_x_constant", of_norm({3, 5}, 4, 460, false, 0), Activation::none,
             constant_inputs({0}));
  put_normed("norm_weight_alone", of_norm({3, 5}, 4, 470, true, 1), Activation::none,
             constant_inputs({0, 2, 3, 4, 5, 6}));
  put_normed("norm_shift_alone", of_norm({4, 5}, 4, 480, true, 2), Activation::none,
             constant_inputs({0, 1, 2, 3, 4, 5}));
  for (const bool with_bias : {true, false}) {
    const auto put_in_training = [&](const std::string& name, std::uint64_t of, bool residual,
                                     Index groups, Activation activation = Activation::none) {
      std::vector<Tensor> in = of_norm({2, 5, 17, 16}, 144, of, residual, groups);
      if (!with_bias) in[2] = Tensor();
      put_normed("norm_in_training" + name + (with_bias ? "" : "_no_bias"), std::move(in),
                 activation);
    };
    put_in_training("", 490, false, 0);
    put_in_training("_residual", 500, true, 0);
    put_in_training("_shift", 510, true, 2);
    put_in_training("_hidden", 520, true, 0, Activation::gelu);
  }

  // Far out, where the slope is exactly 0.
  mark_cancelling(list, std::vector<std::string>{"gelu_saturated"});
  return list;
}

long double activated(Activation activation, long double z) {
  return activation == Activation::gelu   ? z * normal_cdf(z)
         : activation == Activation::silu ? z * logistic(z)
                                          : z;
}

// Rows of x and of the weight; the bias may be empty.
Numbers reference(Index in_width, Index out_width, Activation activation, Index rows,
                  const std::vector<Numbers>& in) {
  Numbers y;
  for (Index r = 0; r < rows; ++r) {
    for (Index o = 0; o < out_width; ++o) {
      long double z = in[2].empty() ? 0 : in[2][static_cast<std::size_t>(o)];
      for (Index i = 0; i < in_width; ++i) {
        z += in[0][static_cast<std::size_t>(r * in_width + i)] *
             in[1][static_cast<std::size_t>(o * in_width + i)];
      }
      y.push_back(activated(activation, z));
    }
  }
  return y;
}

void values(const CheckValues& check) {
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::silu}) {
    for (const bool with_bias : {false, true}) {
      for (const Index rows : {0, 1, 17, 200}) {
        const Index in_width = 33;
        const Index out_width = 17;
        check(
            "",
            {random_normal({rows, in_width}, 1), random_normal({out_width, in_width}, 2, 0.2),
             with_bias ? random_normal({out_width}, 3) : Tensor()},
            [&](std::span<const Tensor> in) { return linear(in[0], in[1], in[2], activation); },
            [&](const auto& in) { return reference(in_width, out_width, activation, rows, in); });
      }
    }
  }
}

std::vector<ModelCall> calls() {
  const auto call = [](std::string name, Index in, Index out, Activation activation) {
    return ModelCall{std::move(name),
                     [=] {
                       return std::vector{random_normal(kTokens.with(3, in), 1),
                                          random_normal({out, in}, 2), random_normal({out}, 3)};
                     },
                     [=](std::span<const Tensor> x) {
                       return std::vector{linear(x[0], x[1], x[2], activation)};
                     }};
  };
  return {call("input", 5, kWidth, Activation::none),
          call("qkv", kWidth, 3 * kWidth, Activation::none),
          call("proj", kWidth, kWidth, Activation::none),
          call("fc1", kWidth, 4 * kWidth, Activation::gelu),
          call("fc2", 4 * kWidth, kWidth, Activation::none),
          call("output", kWidth, 3, Activation::none)};
}

DrawnCall draw(Draw& d) {
  const auto activation =
      d.one_of<Activation>({Activation::none, Activation::gelu, Activation::silu});
  const int x = d.any(1);
  const Shape shape = d.shape_of(x);
  const Index rows = shape.outer(shape.rank() - 1);
  const Index in_width = shape.back();
  const Index out_width = d.extent(std::max(rows, in_width));
  const int weight =
      d.of({out_width, in_width}, 1 / std::sqrt(1.0 + static_cast<double>(in_width)));
  const int bias = d.chance(0.3) ? kLeftOut : d.of({out_width});
  const auto call = [activation](const auto& op) {
    return [=](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1], in[2], activation)};
    };
  };
  const char* named = activation == Activation::gelu   ? "gelu"
                      : activation == Activation::silu ? "silu"
                                                       : "none";
  return {{x, weight, bias},
          call(linear),
          fmt::format("linear(@0, @1, @2, Activation::{})", named),
          {[=](const auto& in) { return reference(in_width, out_width, activation, rows, in); }},
          call(linear_composite)};
}

}  // namespace

const Facts linear_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .ulp = {{-1, 18.1, 2.8},
            {0, 21.3, 6.0},
            {1, 26.3, 3.5},
            {2, 15.0, 2.4},
            {3, 15.0, 3.1},
            {4, 11.6, 2.2},
            {5, 21.5, 6.0},
            {6, 11.6, 4.4},
            {7, 13.4, 2.2}},
    .drawn = {{-1, 11.3, 1.6, 8.0}, {0, 24.1, 10.3}, {1, 15.2, 6.7}, {2, 9.9, 1.3}},
};

}  // namespace posetape
