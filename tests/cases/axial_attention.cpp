#include <cmath>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

constexpr double kLocalScale = 0.7;

// stc_attention(), or its composite, of the inputs that a node of it has.
template <class F>
TensorFunction local(const F& op, Axis axis, Index heads) {
  return [=](std::span<const Tensor> in) {
    return std::vector{op(in[0], axis, heads, 0.0, {in[2], in[3], in[4], in[5], kLocalScale})};
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put_as = [&](std::string name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    list.push_back({std::move(name), std::move(inputs), make(axial_attention),
                    with_composite(make(axial_attention_composite), std::move(options))});
  };
  const auto with = [](Axis axis, Index heads, double scale = 0) {
    return [=](auto op) {
      return [=](std::span<const Tensor> in) {
        return std::vector{op(in[0], axis, heads, scale, in.size() > 1 ? in[1] : Tensor())};
      };
    };
  };
  const auto put = [&](std::string name, std::vector<Tensor> inputs, Axis axis, Index heads,
                       double scale = 0, GradcheckOptions options = {}) {
    put_as(std::move(name), std::move(inputs), with(axis, heads, scale), std::move(options));
  };
  put("space", {random_normal({2, 2, 3, 12}, 1)}, Axis::space, 2);
  put("time", {random_normal({2, 5, 2, 12}, 2)}, Axis::time, 2);
  put("cross", {random_normal({1, 3, 4, 24}, 3)}, Axis::cross, 2);
  put("cross_added", {random_normal({2, 3, 2, 12}, 4), random_normal({2, 3, 2, 4}, 5)}, Axis::cross,
      1, 0.7);
  put("one_token", {random_normal({2, 1, 1, 12}, 6)}, Axis::cross, 2);

  const std::pair<Axis, const char*> axes[] = {
      {Axis::space, "space"}, {Axis::time, "time"}, {Axis::cross, "cross"}};
  for (const auto& [axis, name] : axes) {
    for (const Index heads : {1, 2, 3}) {
      const auto seed = static_cast<std::uint64_t>(20 + 10 * static_cast<int>(axis) + 2 * heads);
      const Tensor qkv = random_normal({1, 3, 2, 36}, seed);
      put(fmt::format("{}_heads_{}", name, heads), {qkv}, axis, heads);
      put(fmt::format("{}_heads_{}_added", name, heads),
          {qkv, random_normal({1, 3, 2, 12}, seed + 1)}, axis, heads);
    }
    const std::uint64_t seed = 60 + static_cast<std::uint64_t>(axis);
    put(fmt::format("{}_every_element", name), {random_normal({1, 3, 3, 6}, seed)}, axis, 1);
    put(fmt::format("{}_qkv_constant", name),
        {random_normal({1, 3, 2, 12}, seed + 3), random_normal({1, 3, 2, 4}, seed + 6)}, axis, 1, 0,
        constant_inputs({0}));
    put(fmt::format("{}_added_constant", name),
        {random_normal({1, 3, 2, 12}, seed + 9), random_normal({1, 3, 2, 4}, seed + 12)}, axis, 1,
        0, constant_inputs({1}));
  }
  // Channels that are whole vectors, and heads that are not whole vectors of pairs.
  put("space_16_channels", {random_normal({1, 2, 3, 96}, 90)}, Axis::space, 2);
  put("time_8_channels", {random_normal({1, 3, 3, 72}, 91)}, Axis::time, 3);
  put("cross_4_channels", {random_normal({1, 3, 5, 72}, 92)}, Axis::cross, 3);
  // On the CPU, sequences of so many channels are computed one at a time (are_short()).
  for (const Index length : {31, 33, 64}) {
    const auto seed = static_cast<std::uint64_t>(180 + length);
    const Index channels = 1325 / length + 1;
    put(fmt::format("long_space_{}", length), {random_normal({1, 1, length, 3 * channels}, seed)},
        Axis::space, 1);
    put(fmt::format("long_time_{}", length),
        {random_normal({1, length, 1, 3 * channels}, seed + 1)}, Axis::time, 1);
  }
  put("long_heads", {random_normal({1, 1, 21, 390}, 93)}, Axis::space, 2);
  put("long_added", {random_normal({1, 21, 1, 195}, 94), random_normal({1, 21, 1, 65}, 95)},
      Axis::time, 1);
  // The shorter ones take their queries in larger blocks, and more memory for their scores.
  put("cross_48_49", {random_normal({1, 49, 48, 6}, 96)}, Axis::cross, 1);
  // Lengths around a vector's and a block's of rows.
  for (const Index length : {2, 4, 5, 7, 8, 9, 15, 16, 17, 33}) {
    const auto seed = static_cast<std::uint64_t>(100 + length);
    put(fmt::format("joints_{}", length), {random_normal({1, 1, length, 6}, seed)}, Axis::space, 1);
    put(fmt::format("frames_{}", length), {random_normal({1, length, 1, 6}, seed + 50)}, Axis::time,
        1);
  }
  for (const Index width : {1, 7, 8, 9, 15, 16, 17, 33}) {
    put(fmt::format("head_width_{}", width),
        {random_normal({1, 2, 3, 6 * width}, 200 + static_cast<std::uint64_t>(width))}, Axis::cross,
        1);
  }
  put("tails", {random_normal({1, 18, 17, 12}, 7)}, Axis::cross, 1);
  put("wide_head", {random_normal({1, 3, 2, 66}, 8)}, Axis::time, 1);
  put("many_sequences", {random_normal({40, 2, 3, 6}, 240)}, Axis::cross, 1);
  put("long_sequence", {random_normal({1, 130, 1, 6}, 241)}, Axis::time, 1);

  for (const auto& [axis, name] : axes) {
    list.push_back({fmt::format("{}_empty_batch", name),
                    {random_normal({0, 2, 3, 12}, 242), random_normal({0, 2, 3, 4}, 243),
                     random_normal({2}, 244)},
                    beside_last(with(axis, 2)(axial_attention))});
    list.push_back({fmt::format("{}_no_frames", name),
                    {random_normal({1, 0, 3, 12}, 245), random_normal({2}, 246)},
                    beside_last(with(axis, 2)(axial_attention))});
    list.push_back({fmt::format("{}_no_joints", name),
                    {random_normal({1, 2, 0, 12}, 247), random_normal({2}, 248)},
                    beside_last(with(axis, 2)(axial_attention))});
  }

  // Large scores: all but one probability are almost zero.
  put("saturated", {random_normal({1, 4, 3, 12}, 9, 3.0)}, Axis::cross, 1, 2.0, steps_from(0.01));
  put("saturated_space", {random_normal({1, 2, 4, 12}, 250, 4.0)}, Axis::space, 2, 1.0,
      steps_from(0.01));
  put("saturated_time", {random_normal({1, 4, 2, 12}, 251, 4.0)}, Axis::time, 1, 1.0,
      steps_from(0.01));
  put("tiny", {random_normal({1, 3, 2, 12}, 252, 1e-6)}, Axis::cross, 1);
  put("huge", {random_normal({1, 3, 2, 12}, 253, 1e6)}, Axis::cross, 1, 1e-12);
  put("negative_scale", {random_normal({1, 3, 2, 12}, 254)}, Axis::cross, 1, -0.5);
  put("equal_tokens", {Tensor::full({1, 3, 3, 12}, 0.5, DType::f64)}, Axis::cross, 2);

  const auto own = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], Axis::cross, 1, 0.0, slice(in[0], 3, 0, 4))};
    };
  };
  put_as("added_of_itself", {random_normal({1, 3, 2, 12}, 260)}, own);
  const auto two_axes = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], Axis::space, 1, 0.0, in[1]),
                         op(in[0], Axis::time, 2, 0.0, in[1])};
    };
  };
  put_as("two_calls", {random_normal({1, 3, 2, 12}, 261), random_normal({1, 3, 2, 4}, 262)},
         two_axes);
  put("in_training", {random_normal({2, 5, 17, 48}, 263), random_normal({2, 5, 17, 16}, 264)},
      Axis::cross, 2);
  put("in_training_space", {random_normal({2, 5, 17, 48}, 265)}, Axis::space, 2);
  put("in_training_time", {random_normal({2, 5, 17, 48}, 266)}, Axis::time, 2);
  // Heads that fill tiles of 16: more than one block of queries, several tiles of channels, and 17
  // joints of several frames.
  put("frames_of_17", {random_normal({1, 3, 17, 48}, 274)}, Axis::space, 1);
  put("heads_of_16", {random_normal({1, 37, 2, 96}, 267), random_normal({1, 37, 2, 32}, 268)},
      Axis::time, 2);
  put("heads_of_32", {random_normal({1, 2, 3, 96}, 271), random_normal({1, 2, 3, 32}, 272)},
      Axis::space, 1);
  put("heads_of_64", {random_normal({1, 3, 2, 192}, 273)}, Axis::time, 1);
  put("heads_of_48", {random_normal({1, 2, 17, 144}, 269)}, Axis::space, 1);
  put("saturated_heads_of_16", {random_normal({1, 33, 1, 48}, 270, 1.2)}, Axis::time, 1);

  // With the structure embedding as a part of it: qkv, nothing added, weight, bias, table, part. It
  // is small, since it is rounded before it is added.
  constexpr double kSmall = 0.1;
  const auto put_local = [&](std::string name, const std::vector<Tensor>& in, Axis axis,
                             Index heads, GradcheckOptions options = {}) {
    list.push_back(
        {std::move(name), in, local(stc_attention, axis, heads),
         with_composite(local(stc_attention_composite, axis, heads), std::move(options))});
  };
  const auto inputs = [&](Index b, Index n, Index d, Index w, std::uint64_t seed) {
    std::vector<Tensor> in{
        random_normal({b, n, 5, 3 * d}, seed), Tensor(), random_normal({d, 3, 3}, seed + 1, kSmall),
        random_normal({d}, seed + 2, kSmall),  Tensor(), Tensor()};
    if (w > 0) {
      in[4] = random_normal({3, w}, seed + 3, kSmall);
      in[5] = Tensor::of<std::int32_t>({5}, std::vector<std::int32_t>{0, 2, 2, 0, 1});
    }
    return in;
  };
  put_local("local", inputs(1, 3, 4, 2, 300), Axis::cross, 1);
  put_local("local_space", inputs(1, 2, 6, 0, 310), Axis::space, 2);
  put_local("local_time", inputs(2, 3, 3, 2, 320), Axis::time, 3);
  put_local("local_qkv_constant", inputs(1, 2, 4, 2, 330), Axis::cross, 1, constant_inputs({0}));
  put_local("local_qkv_alone", inputs(1, 2, 4, 2, 340), Axis::cross, 1, constant_inputs({2, 3, 4}));
  put_local("local_weight_constant", inputs(1, 2, 4, 2, 350), Axis::cross, 1, constant_inputs({2}));
  put_local("local_table_constant", inputs(1, 2, 4, 2, 360), Axis::cross, 1, constant_inputs({4}));
  put_local("local_heads_of_16", inputs(1, 3, 32, 8, 370), Axis::cross, 1);
  put_local("local_heads_of_32", inputs(1, 2, 32, 8, 380), Axis::space, 1);
  put_local("local_in_training",
            {random_normal({2, 4, 17, 144}, 390), Tensor(), random_normal({48, 3, 3}, 391, kSmall),
             random_normal({48}, 392, kSmall), random_normal({5, 16}, 393, kSmall),
             Tensor::of<std::int32_t>({17}, std::vector<std::int32_t>{0, 1, 1, 1, 2, 2, 2, 0, 0, 0,
                                                                      0, 3, 3, 3, 4, 4, 4})},
            Axis::cross, 2);
  // Queries and keys matter in form alone where there is one to attend to, or all are equal.
  mark_cancelling(list, std::vector<std::string>{"one_token", "equal_tokens"});
  return list;
}

struct Grid {
  Index b, n, j, d, heads;

  Numbers reference(Axis axis, double given, const std::vector<Numbers>& in) const {
    Numbers y(static_cast<std::size_t>(b * n * j * d));
    const Index segments = axis == Axis::cross ? 2 : 1;
    const Index width = d / segments / heads;
    const long double factor = given != 0 ? static_cast<long double>(given)
                                          : 1 / std::sqrt(static_cast<long double>(width));
    const auto token = [&](Index batch, Index frame, Index joint) {
      return (batch * n + frame) * j + joint;
    };
    const auto at = [&](Index t, Index which, Index c) {
      return in[0][static_cast<std::size_t>(t * 3 * d + which * d + c)];
    };
    for (Index here = 0; here < b * n * j; ++here) {
      const Index batch = here / j / n;
      for (Index h = 0; h < segments * heads; ++h) {
        const bool space = axis == Axis::space || (axis == Axis::cross && h < heads);
        const Index others = space ? j : n;
        const auto there = [&](Index k) {
          return space ? token(batch, here / j % n, k) : token(batch, k, here % j);
        };
        Numbers weight;
        long double total = 0;
        for (Index k = 0; k < others; ++k) {
          long double dot = 0;
          for (Index c = h * width; c < (h + 1) * width; ++c) {
            dot += at(here, 0, c) * at(there(k), 1, c);
          }
          weight.push_back(std::exp(dot * factor));
          total += weight.back();
        }
        for (Index c = h * width; c < (h + 1) * width; ++c) {
          const auto place = static_cast<std::size_t>(here * d + c);
          long double out = in[1].empty() ? 0 : in[1][place];
          for (Index k = 0; k < others; ++k) {
            out += weight[static_cast<std::size_t>(k)] / total * at(there(k), 2, c);
          }
          y[place] = out;
        }
      }
    }
    return y;
  }
};

void values(const CheckValues& check) {
  const Grid all[] = {
      {1, 1, 1, 2, 1}, {0, 3, 4, 4, 1}, {2, 3, 5, 8, 2}, {1, 17, 4, 34, 1}, {1, 4, 17, 64, 2}};
  for (const Grid& g : all) {
    for (const Axis axis : {Axis::space, Axis::time, Axis::cross}) {
      for (const bool with_add : {false, true}) {
        check(
            "",
            {random_normal({g.b, g.n, g.j, 3 * g.d}, 1),
             with_add ? random_normal({g.b, g.n, g.j, g.d}, 2) : Tensor()},
            [&](std::span<const Tensor> in) {
              return axial_attention(in[0], axis, g.heads, 0, in[1]);
            },
            [&](const auto& in) { return g.reference(axis, 0, in); });
      }
    }
  }
}

std::vector<ModelCall> calls() {
  const auto call = [](std::string name, Axis axis) {
    return ModelCall{std::move(name),
                     [] {
                       return std::vector{random_normal(kTokens.with(3, 3 * kWidth), 1),
                                          random_normal(kTokens, 2)};
                     },
                     [=](std::span<const Tensor> in) {
                       return std::vector{axial_attention(in[0], axis, 8, 0, in[1])};
                     }};
  };
  return {call("cross", Axis::cross), call("space", Axis::space), call("time", Axis::time)};
}

DrawnCall draw(Draw& d) {
  const auto axis = d.one_of<Axis>({Axis::space, Axis::time, Axis::cross});
  const Index segments = axis == Axis::cross ? 2 : 1;
  const Index heads = 1 + d.below(3);
  // Longer sequences take the reference seconds.
  constexpr Index kLongest = 130;
  Grid g{1 + d.below(2), std::min(kLongest, d.extent()), 1, 0, heads};
  g.j = std::min(kLongest, d.extent(g.b * std::max<Index>(1, g.n)));
  const Index tokens = std::max<Index>(1, g.b * g.n * g.j);
  g.d = segments * heads * std::max<Index>(1, d.extent(3 * segments * heads * tokens));
  const int qkv = d.of({g.b, g.n, g.j, 3 * g.d});
  const int add = d.chance(0.5) ? d.of({g.b, g.n, g.j, g.d}) : kLeftOut;
  const double scale = d.chance(0.7) ? 0 : d.number(0.1, 1);
  const auto call = [=](const auto& op) {
    return [=](std::span<const Tensor> in) {
      return std::vector{op(in[0], axis, heads, scale, in[1])};
    };
  };
  const char* named = axis == Axis::space ? "space" : axis == Axis::time ? "time" : "cross";
  return {{qkv, add},
          call(axial_attention),
          fmt::format("axial_attention(@0, Axis::{}, {}, {}, @1)", named, heads, scale),
          {[=](const auto& in) { return g.reference(axis, scale, in); }},
          call(axial_attention_composite)};
}

}  // namespace

const Facts axial_attention_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {[] {
                  axial_attention(zeros({2, 3, 6}), Axis::space, 1);
                },
                [] {
                  axial_attention(zeros({1, 2, 3, 6}), Axis::space, 0);
                },
                [] {
                  stc_attention(zeros({1, 2, 3, 6}), Axis::space, 2, 0,
                                {zeros({2, 3, 2}), zeros({2}), {}, {}});
                }},
    .ulp = {{-1, 17.0, 0.5, 1.0},
            {0, 2647.0, 1.4, 2.3},  // in bf16 dv is rounded before the local term is added to it
            {1, 0.0, 0.0},
            {2, 7.9, 0.5},
            {3, 6.7, 0.5},
            {4, 3.2, 0.5}},
    .drawn = {{-1, 319.0, 0.5, 143.9}, {0, 1588.7, 0.5}, {1, 0.0, 0.0}},
};

}  // namespace posetape
