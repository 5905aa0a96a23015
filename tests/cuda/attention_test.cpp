// Attention of sequences and heads larger than the gradient checks': several tiles of queries and
// keys, several slices of channels, rows in packs and not.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/ops.hpp"
#include "tests/cases/cases.hpp"
#include "tests/cases/precision.hpp"

using namespace posetape;

namespace {

struct Size {
  Index frames;
  Index joints;
  Index heads;
  Index head_width;
};

double difference(const Tensor& got, const Tensor& expected) {
  const std::vector<double> g = got.to_doubles();
  const std::vector<double> e = expected.to_doubles();
  double worst = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    const double d = std::fabs(g[i] - e[i]);
    worst = std::isnan(d) ? HUGE_VAL : std::max(worst, d);
  }
  return worst;
}

Case case_of(const Size& size) {
  const Index width = 2 * size.heads * size.head_width;
  return {fmt::format("{} frames, {} joints, {} heads of {}", size.frames, size.joints, size.heads,
                      size.head_width),
          {random_normal({1, size.frames, size.joints, 3 * width}, 1),
           random_normal({1, size.frames, size.joints, width}, 2)},
          [heads = size.heads](std::span<const Tensor> in) {
            // A second use of qkv, so that gradients are added to what is there.
            const Tensor out = axial_attention(in[0], Axis::cross, heads, 0.0, in[1]);
            return std::vector{out, axial_attention(in[0], Axis::time, heads)};
          }};
}

}  // namespace

TEST_CASE("cuda: attention of long sequences and wide heads gives the CPU's results") {
  const Size sizes[] = {{150, 2, 1, 16}, {70, 3, 2, 8},   {140, 1, 1, 40},
                        {33, 40, 1, 33}, {27, 17, 2, 32}, {2, 25, 3, 5}};
  for (const Size& size : sizes) {
    CAPTURE(size.frames);
    CAPTURE(size.head_width);
    const Case c = case_of(size);
    std::vector<Tensor> moved;
    for (const Tensor& x : c.inputs) moved.push_back(x.to(Device::cuda));
    const CaseResults expected = results(c, c.inputs, DType::f64);
    const CaseResults got = results(c, moved, DType::f64);
    for (std::size_t o = 0; o < expected.outputs.size(); ++o) {
      CHECK(got.outputs[o].size() == expected.outputs[o].size());
      CHECK(difference(got.outputs[o], expected.outputs[o]) < 1e-12);
    }
    REQUIRE(got.gradients.size() == expected.gradients.size());
    for (std::size_t g = 0; g < expected.gradients.size(); ++g) {
      CHECK(difference(got.gradients[g].second, expected.gradients[g].second) < 1e-12);
    }
  }
}

// Frames that share tiles and frames that don't, one block of keys and several, parts of sequences.
TEST_CASE("cuda: attention in bf16 on tensor cores is as exact as products of bf16 are") {
  std::vector<Case> all;
  for (const Size& size : {Size{9, 17, 1, 16}, Size{27, 3, 2, 32}, Size{50, 20, 1, 16},
                           Size{150, 2, 1, 64}, Size{65, 5, 1, 32}, Size{140, 1, 2, 16}}) {
    all.push_back(case_of(size));
  }
  for (const SuiteRow& row : check_precision(Op::axial_attention, all, false, Device::cuda)) {
    CHECK_MESSAGE(row.passed, row.case_name, ", input ", row.input, ", ", row.where, ": ",
                  row.note);
  }
}

// On tensor cores and not, with more body parts than a launch takes, of whole and of parts of
// sequences; each input's gradient without the others', and added to one that is there.
TEST_CASE("cuda: STC attention gives the bits of its two ops") {
  struct Call {
    Size size;
    Axis axis;
    Index parts;
  };
  const Call calls[] = {{{9, 17, 2, 16}, Axis::cross, 5},  {{27, 3, 1, 32}, Axis::cross, 2},
                        {{140, 2, 1, 16}, Axis::cross, 3}, {{3, 5, 1, 64}, Axis::space, 0},
                        {{33, 2, 2, 16}, Axis::time, 7},   {{5, 17, 2, 5}, Axis::cross, 5}};
  for (const Call& call : calls) {
    const auto& [frames, joints, heads, head_width] = call.size;
    const Index width = (call.axis == Axis::cross ? 2 : 1) * heads * head_width;
    CAPTURE(frames);
    CAPTURE(head_width);
    std::vector<Tensor> inputs{random_normal({2, frames, joints, 3 * width}, 1),
                               random_normal({width, 3, 3}, 2),
                               random_normal({width}, 3),
                               {},
                               {}};
    if (call.parts > 0) {
      inputs[3] = random_normal({call.parts, head_width}, 4);
      inputs[4] = Tensor::empty({joints}, DType::i32);
      for (Index j = 0; j < joints; ++j) {
        inputs[4].data<std::int32_t>()[j] =
            static_cast<std::int32_t>(call.parts - 1 - j % call.parts);
      }
    }
    const auto with = [&](bool as_one, bool twice) {
      return [=, axis = call.axis, heads = heads](std::span<const Tensor> in) {
        const LocalTerm local{in[1], in[2], in[3], in[4], 0.7};
        std::vector<Tensor> out;
        // The second one's backward rule runs first.
        if (twice) out.push_back(axial_attention(in[0], axis, heads));
        out.insert(out.begin(),
                   as_one ? stc_attention(in[0], axis, heads, 0, local)
                          : axial_attention(in[0], axis, heads, 0,
                                            structure_embedding(in[0], in[1], in[2], in[3], in[4],
                                                                local.scale)));
        return out;
      };
    };
    for (const Device device : {Device::cpu, Device::cuda}) {
      for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
        std::vector<Tensor> moved;
        for (const Tensor& x : inputs) {
          moved.push_back(x.defined() ? converted(x, dtype).to(device) : x);
        }
        for (const std::vector<int>& constant :
             {std::vector<int>{}, {0}, {1, 2, 3}, {1, 3}, {2}, {0, 1, 2}}) {
          for (const bool twice : {false, true}) {
            Case one{"", inputs, with(true, twice), constant_inputs(constant)};
            Case two{"", inputs, with(false, twice), constant_inputs(constant)};
            const CaseResults got = results(one, moved, DType::bf16);
            const CaseResults expected = results(two, moved, DType::bf16);
            for (std::size_t o = 0; o < expected.outputs.size(); ++o) {
              CHECK(got.outputs[o].to_doubles() == expected.outputs[o].to_doubles());
            }
            REQUIRE(got.gradients.size() == expected.gradients.size());
            for (std::size_t g = 0; g < expected.gradients.size(); ++g) {
              CHECK(got.gradients[g].second.to_doubles() ==
                    expected.gradients[g].second.to_doubles());
            }
          }
        }
      }
    }
  }
}

TEST_CASE("cuda: a frame's attention in bf16 does not depend on the frames beside it") {
  constexpr Index kFrames = 9, kLeft = 5, kWidth = 32;
  const Tensor qkv = random_normal({1, kFrames, 17, 3 * kWidth}, 1);
  const Tensor nan = Tensor::full({1, kLeft, 17, 3 * kWidth}, std::nan(""), DType::f64);
  const auto attention = [](const Tensor& x) {
    const Tensor in = converted(x, DType::bf16).to(Device::cuda);
    return axial_attention(in, Axis::space, 2).to_doubles();
  };
  const Tensor some = slice(qkv, 1, kLeft, kFrames);
  const std::vector<double> expected = attention(some);
  for (const Tensor& x : {qkv, concat(std::vector{nan, some}, 1)}) {
    const std::vector<double> got = attention(x);
    CHECK(std::equal(expected.begin(), expected.end(), got.end() - std::ssize(expected)));
  }
}
