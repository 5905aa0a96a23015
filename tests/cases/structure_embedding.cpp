#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/composites.hpp"

namespace posetape {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto put_as = [&](std::string name, std::vector<Tensor> inputs, const auto& make,
                          GradcheckOptions options = {}) {
    list.push_back({std::move(name), std::move(inputs), make(structure_embedding),
                    with_composite(make(structure_embedding_composite), std::move(options))});
  };
  const auto call = [](auto op) {
    return [op](std::span<const Tensor> in) {
      const bool parts = in.size() > 3;
      return std::vector{
          op(in[0], in[1], in[2], parts ? in[3] : Tensor(), parts ? in[4] : Tensor(), 0.7)};
    };
  };
  const auto put = [&](std::string name, std::vector<Tensor> inputs,
                       GradcheckOptions options = {}) {
    put_as(std::move(name), std::move(inputs), call, std::move(options));
  };
  const auto inputs = [](Index b, Index n, Index j, Index d, std::uint64_t seed, double scale = 1) {
    return std::vector<Tensor>{random_normal({b, n, j, 3 * d}, seed, scale),
                               random_normal({d, 3, 3}, seed + 1, scale),
                               random_normal({d}, seed + 2, scale)};
  };
  const auto indices = [](std::vector<std::int32_t> part) {
    return Tensor::of<std::int32_t>({static_cast<Index>(part.size())}, part);
  };
  // Part 1 has no joint: its gradient is zero.
  const auto with_parts = [&](Index b, Index n, Index d, Index w, std::uint64_t seed,
                              double scale = 1) {
    std::vector<Tensor> in = inputs(b, n, 5, d, seed, scale);
    in.push_back(random_normal({3, w}, seed + 3, scale));
    in.push_back(indices({0, 2, 2, 0, 2}));
    return in;
  };
  put("grid", inputs(1, 3, 4, 3, 10));
  put("batch", inputs(2, 2, 3, 2, 20));
  put("one_frame", inputs(3, 1, 4, 2, 30));
  put("two_frames", inputs(1, 2, 1, 1, 33));
  put("one_joint", inputs(2, 5, 1, 2, 40));
  put("two_joints", inputs(2, 1, 2, 1, 43));
  put("three_by_three", inputs(1, 3, 3, 1, 46));
  put("one_element", inputs(1, 1, 1, 1, 50));
  put("channels_15", inputs(1, 1, 2, 15, 53));
  put("channels_16", inputs(1, 2, 2, 16, 56));
  put("channels_17", inputs(1, 3, 3, 17, 60));
  put("channels_31", inputs(1, 2, 2, 31, 63));
  put("channels_33", inputs(1, 2, 3, 33, 70));
  put("channels_65", inputs(1, 1, 2, 65, 73));
  // The parameters' gradients are cut every 8 frames, every 9 from 513 frames on.
  put("frames_7", inputs(1, 7, 2, 1, 76));
  put("frames_8", inputs(2, 4, 1, 2, 180));
  put("frames_9", inputs(3, 3, 2, 1, 183));
  put("frames_512", inputs(128, 4, 1, 1, 186));
  put("frames_513", inputs(171, 3, 1, 1, 189));
  put("many_rows", inputs(50, 4, 3, 2, 80));
  put("empty_batch", inputs(0, 3, 4, 2, 90), zero_gradient({1, 2}, kEmptyResult));
  put("no_frames", inputs(1, 0, 4, 2, 93), zero_gradient({1, 2}, kEmptyResult));
  put("no_joints", inputs(1, 3, 0, 2, 96), zero_gradient({1, 2}, kEmptyResult));

  put("parts", with_parts(2, 2, 4, 2, 100));
  put("parts_repeated_over_channels", with_parts(1, 3, 10, 2, 110));
  put("parts_wider_than_half", with_parts(1, 2, 5, 7, 120));
  put("parts_many_rows", with_parts(30, 3, 6, 3, 130));
  put("parts_channels_33", with_parts(1, 1, 33, 5, 134));
  put("parts_frames_9", with_parts(3, 3, 2, 1, 138));
  put("parts_of_one_channel", with_parts(1, 2, 1, 2, 142),
      zero_gradient({3}, "half of one channel is none"));
  put("parts_empty_batch", with_parts(0, 2, 4, 2, 146), zero_gradient({1, 2, 3}, kEmptyResult));
  std::vector<Tensor> no_joints = inputs(1, 2, 0, 4, 150);
  no_joints.push_back(random_normal({3, 2}, 153));
  no_joints.push_back(indices({}));
  put("parts_no_joints", no_joints, zero_gradient({1, 2, 3}, kEmptyResult));
  std::vector<Tensor> one_part = inputs(1, 2, 2, 4, 154);
  one_part.push_back(random_normal({1, 1}, 157));
  one_part.push_back(indices({0, 0}));
  put("one_part", one_part);

  put("qkv_constant", with_parts(1, 2, 4, 2, 160), constant_inputs({0}));
  put("weight_constant", with_parts(1, 2, 4, 2, 164), constant_inputs({1}));
  put("bias_constant", with_parts(1, 2, 4, 2, 168), constant_inputs({2}));
  put("table_constant", with_parts(1, 2, 4, 2, 172), constant_inputs({3}));
  put("table_alone", with_parts(1, 2, 4, 2, 176), constant_inputs({0, 1, 2}));
  put("bias_alone", inputs(1, 2, 3, 2, 192), constant_inputs({0, 1}));

  put("tiny", with_parts(1, 2, 4, 2, 200, 1e-6));
  std::vector<Tensor> huge = with_parts(1, 2, 4, 2, 204, 1e6);
  huge[1] = random_normal({4, 3, 3}, 205);
  put("huge", huge);

  const auto two_calls = [](auto op) {
    return [op](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1], in[2], in[3], in[4], 0.7),
                         op(in[0], in[1], in[2], Tensor(), Tensor(), 1.0)};
    };
  };
  put_as("two_calls", with_parts(1, 2, 4, 2, 208), two_calls);
  const auto layers = [](auto op) {
    return [op](std::span<const Tensor> in) {
      const Tensor y = op(in[0], in[1], in[2], Tensor(), Tensor(), 1.0);
      return std::vector{op(concat({y, y, y}, 3), in[1], in[2], Tensor(), Tensor(), 1.0)};
    };
  };
  put_as("same_parameters_twice", inputs(1, 3, 2, 2, 212), layers);

  std::vector<Tensor> training = inputs(2, 5, 17, 48, 220);
  training.push_back(random_normal({5, 16}, 224));
  training.push_back(Tensor::of<std::int32_t>(
      {17}, std::vector<std::int32_t>{0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4}));
  put("in_training", training);
  return list;
}

struct Grid {
  Index b, n, j, d, p, w;  // p parts, 0 for none

  Numbers reference(double factor, const std::vector<Numbers>& in) const {
    const auto at = [](Index i) { return static_cast<std::size_t>(i); };
    Numbers y;
    for (Index here = 0; here < b * n * j; ++here) {
      for (Index c = 0; c < d; ++c) {
        long double out = in[2][at(c)];
        for (Index tap = 0; tap < 9; ++tap) {
          const Index frame = here / j % n + tap / 3 - 1;
          const Index joint = here % j + tap % 3 - 1;
          if (frame < 0 || frame >= n || joint < 0 || joint >= j) continue;
          const Index there = (here / j / n * n + frame) * j + joint;
          out += in[1][at(c * 9 + tap)] * in[0][at(there * 3 * d + 2 * d + c)];
        }
        if (p > 0 && c < d / 2) {
          const auto part = static_cast<Index>(in[4][at(here % j)]);
          out += static_cast<long double>(factor) * in[3][at(part * w + c % w)];
        }
        y.push_back(out);
      }
    }
    return y;
  }
};

void values(const CheckValues& check) {
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
    const auto reference = [=](const auto& in) { return g.reference(factor, in); };
    const std::vector<Tensor> inputs{random_normal({g.b, g.n, g.j, 3 * g.d}, 1),
                                     random_normal({g.d, 3, 3}, 2), random_normal({g.d}, 3),
                                     parts ? random_normal({g.p, g.w}, 4) : Tensor(), part};
    const auto f = [=](std::span<const Tensor> in) {
      return structure_embedding(in[0], in[1], in[2], in[3], in[4], factor);
    };
    check(inputs[0].shape().text(), inputs, f, reference);
    if (inputs[0].size() == 0) continue;
    std::vector<Tensor> bad = inputs;  // in q: never read
    bad[0] = with_nan(inputs[0], 0);
    check("nan_in_q", bad, f, reference);
    bad[0] = with_nan(inputs[0], inputs[0].size() - 1);
    check("nan_in_v", bad, f, reference);
    bad[0] = inputs[0];
    bad[1] = with_nan(inputs[1], 0);  // a corner tap: no effect on the first row and column
    check("nan_in_weight", bad, f, reference);
  }
}

std::vector<ModelCall> calls() {
  return {{"",
           [] {
             std::array<std::int32_t, kJoints> part{};
             for (std::size_t j = 0; j < part.size(); ++j) part[j] = static_cast<int>(j % 5);
             return std::vector{random_normal(kTokens.with(3, 3 * kWidth), 1),
                                random_normal({kWidth, 3, 3}, 2), random_normal({kWidth}, 3),
                                random_normal({5, kWidth / 16}, 4),
                                Tensor::of<std::int32_t>({kJoints}, part)};
           },
           [](std::span<const Tensor> in) {
             return std::vector{structure_embedding(in[0], in[1], in[2], in[3], in[4])};
           }}};
}

DrawnCall draw(Draw& d) {
  Grid g{1 + d.below(2), d.extent(), 1, 0, 0, 0};
  g.j = d.extent(g.b * std::max<Index>(1, g.n));
  g.d = d.extent(9 * std::max<Index>(1, g.b * g.n * g.j));
  const int qkv = d.of({g.b, g.n, g.j, 3 * g.d});
  const int weight = d.of({g.d, 3, 3});
  const int bias = d.of({g.d});
  int table = kLeftOut;
  int part = kLeftOut;
  if (d.chance(0.6)) {
    g.p = 1 + d.below(4);
    g.w = std::max<Index>(1, d.extent(g.p));
    table = d.of({g.p, g.w});
    part = d.indices({g.j}, g.p);
  }
  const double scale = d.chance(0.5) ? 1 : d.number(-1, 1);
  const auto call = [=](const auto& op) {
    return [=](std::span<const Tensor> in) {
      return std::vector{op(in[0], in[1], in[2], in[3], in[4], scale)};
    };
  };
  return {{qkv, weight, bias, table, part},
          call(structure_embedding),
          fmt::format("structure_embedding(@0, @1, @2, @3, @4, {})", scale),
          {[=](const auto& in) { return g.reference(scale, in); }},
          call(structure_embedding_composite)};
}

}  // namespace

const Facts structure_embedding_facts{
    .cases = cases,
    .values = values,
    .draw = draw,
    .calls = calls,
    .refused = {
        [] {
          structure_embedding(zeros({1, 2, 3, 7}), zeros({2, 3, 3}), zeros({2}));
        },
        [] {
          structure_embedding(zeros({1, 2, 3, 6}), zeros({3, 3, 3}), zeros({2}));
        },
        [] {
          structure_embedding(zeros({1, 2, 3, 6}), zeros({2, 3, 3}), zeros({2}), zeros({2, 2}));
        },
        [] {
          structure_embedding(zeros({1, 2, 3, 6}), zeros({2, 3, 3}), zeros({2}), zeros({0, 2}),
                              indices({3}));
        }},
    .ulp = {{-1, 4.1, 0.6}, {0, 5.8, 0.7}, {1, 9.2, 0.6}, {2, 10.9, 0.6}, {3, 3.1, 0.5}},
    .drawn = {{-1, 3.9, 0.5, 3.5}, {0, 3.4, 0.5}, {1, 12.5, 0.5}, {2, 23.6, 0.5}, {3, 3.3, 0.5}},
};

}  // namespace posetape
