// conv1d and attention, which are made of other ops, against plain loops in f64.
#include "engine/conv1d.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/attention.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"

using namespace posetape;

namespace {

using Doubles = std::vector<double>;

// y[b, n, o] by its definition.
Doubles convolved(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv1dOptions& o) {
  const Index frames = x.shape()[1], channels = x.shape()[2];
  const Index outs = w.shape()[0], taps = w.shape()[1];
  const auto at = [](const Tensor& t, Index i) { return t.data<double>()[i]; };
  Doubles y;
  for (Index b = 0; b < x.shape()[0]; ++b) {
    for (Index first = -o.before; first + (taps - 1) * o.dilation < frames + o.after;
         first += o.stride) {
      for (Index out = 0; out < outs; ++out) {
        double sum = bias.defined() ? at(bias, out) : 0;
        for (Index k = 0; k < taps; ++k) {
          const Index t = first + k * o.dilation;
          if (t < 0 || t >= frames) continue;
          for (Index c = 0; c < channels; ++c) {
            sum += at(w, (out * taps + k) * channels + c) * at(x, (b * frames + t) * channels + c);
          }
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

void check_close(const Doubles& got, const Doubles& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(got[i] - expected[i]) <= 1e-14 * (1 + std::abs(expected[i])));
  }
}

struct Call {
  Shape x;
  Shape weight;
  Conv1dOptions options;
  Index results;
};
const std::vector<Call> kCalls{
    {{2, 7, 3}, {4, 3, 3}, {}, 5},
    {{1, 5, 1}, {1, 1, 1}, {}, 5},
    {{1, 5, 2}, {3, 5, 2}, {}, 1},
    {{2, 7, 3}, {2, 3, 3}, {.before = 1, .after = 1}, 7},
    {{2, 7, 3}, {2, 3, 3}, {.before = 2}, 7},  // causal
    {{2, 8, 3}, {2, 3, 3}, {.stride = 2}, 3},  // the last frame has no part
    {{2, 9, 3}, {2, 3, 3}, {.stride = 2}, 4},
    {{1, 7, 2}, {2, 2, 2}, {.stride = 3, .after = 1}, 3},
    {{1, 3, 2}, {2, 1, 2}, {.stride = 5}, 1},  // a tap's frames end behind the last one
    {{1, 9, 2}, {2, 3, 2}, {.dilation = 2}, 5},
    {{1, 9, 2}, {2, 3, 2}, {.stride = 2, .dilation = 3, .before = 4, .after = 2}, 5},
    {{1, 2, 2}, {2, 3, 2}, {.before = 3, .after = 3}, 6},  // some see nothing but zeros
    {{0, 7, 3}, {4, 3, 3}, {}, 5},
};

// Row t of queries looks at keys with a mask of at least -1.
Doubles attended(const Tensor& q, const Tensor& k, const Tensor& v, bool causal) {
  const Index queries = q.shape()[1], keys = k.shape()[1], depth = q.shape()[2];
  const Index width = v.shape()[2];
  Doubles y;
  for (Index b = 0; b < q.shape()[0]; ++b) {
    for (Index t = 0; t < queries; ++t) {
      const Index seen = causal ? t + 1 : keys;
      Doubles weights;
      double total = 0;
      for (Index s = 0; s < seen; ++s) {
        double score = 0;
        for (Index d = 0; d < depth; ++d) {
          score += q.data<double>()[(b * queries + t) * depth + d] *
                   k.data<double>()[(b * keys + s) * depth + d];
        }
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(depth))));
        total += weights.back();
      }
      for (Index c = 0; c < width; ++c) {
        double sum = 0;
        for (Index s = 0; s < seen; ++s) {
          sum +=
              weights[static_cast<std::size_t>(s)] * v.data<double>()[(b * keys + s) * width + c];
        }
        y.push_back(sum / total);
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("conv1d is its definition, with strides, dilations and zeros") {
  for (const Call& call : kCalls) {
    CAPTURE(call.x.text());
    CAPTURE(call.options.stride);
    const Tensor x = random_normal(call.x, 1);
    const Tensor weight = random_normal(call.weight, 2);
    const Tensor bias = random_normal({call.weight[0]}, 3);
    const Tensor y = conv1d(x, weight, bias, call.options);
    CHECK(y.shape() == Shape{call.x[0], call.results, call.weight[0]});
    check_close(y.to_doubles(), convolved(x, weight, bias, call.options));
    check_close(conv1d(x, weight, {}, call.options).to_doubles(),
                convolved(x, weight, {}, call.options));
  }
}

TEST_CASE(
    "conv1d: all gradients agree with the oracles, and with those of the definition by loops") {
  for (const Call& call : kCalls) {
    if (call.x.size() == 0) continue;
    CAPTURE(call.x.text());
    CAPTURE(call.options.stride);
    const std::vector<Tensor> inputs{random_normal(call.x, 4), random_normal(call.weight, 5),
                                     random_normal({call.weight[0]}, 6)};
    const TensorFunction f = [&](std::span<const Tensor> in) {
      return std::vector{conv1d(in[0], in[1], in[2], call.options)};
    };
    const GradcheckReport report = gradcheck(f, inputs);
    CHECK_MESSAGE(report.passed(), report.failures());
  }
}

TEST_CASE("conv1d refuses what it can't compute, and says why") {
  const Tensor x = random_normal({2, 7, 3}, 1);
  const auto refused = [&](const Shape& w, const Conv1dOptions& o, const char* why) {
    CHECK_THROWS_WITH_AS(conv1d(x, random_normal(w, 2), {}, o), doctest::Contains(why), Error);
  };
  refused({4, 3, 2}, {}, "conv1d: x is [2, 7, 3], weight [4, 3, 2]; expected [B, T, C] and");
  refused({4, 3}, {}, "expected [B, T, C] and [O, K, C]");
  refused({4, 8, 3}, {}, "reaches over 8 frames, x [2, 7, 3] has 7");
  refused({4, 3, 3}, {.dilation = 4}, "with dilation 4 reaches over 9 frames");
  refused({4, 10, 3}, {.before = 1, .after = 1}, "has 9 with its zeros");
  CHECK(conv1d(x, random_normal({4, 9, 3}, 2), {}, {.before = 1, .after = 1}).shape() ==
        Shape{2, 1, 4});
  refused({4, 0, 3}, {}, "reaches over");
  refused({4, 3, 3}, {.stride = 0}, "stride 0");
  refused({4, 3, 3}, {.dilation = 0}, "dilation 0");
  refused({4, 3, 3}, {.before = -1}, "before -1");
  refused({4, 3, 3}, {.after = -1}, "after -1");
  CHECK_THROWS_WITH_AS(conv1d(x, {}), "conv1d: x or weight is undefined", Error);
}

TEST_CASE("attention is its definition, with and without a mask") {
  const Tensor q = random_normal({2, 5, 3}, 1);
  const Tensor k = random_normal({2, 5, 3}, 2);
  const Tensor v = random_normal({2, 5, 4}, 3);
  check_close(attention(q, k, v).to_doubles(), attended(q, k, v, false));
  check_close(attention(q, k, v, causal_mask(5, DType::f64)).to_doubles(), attended(q, k, v, true));
  const Tensor few = random_normal({2, 2, 3}, 4);
  CHECK(attention(few, k, v).shape() == Shape{2, 2, 4});
  check_close(attention(few, k, v).to_doubles(), attended(few, k, v, false));
  CHECK_THROWS_WITH_AS(attention(q, k, {}), "attention: q, k or v is undefined", Error);
  CHECK_THROWS_AS(attention(q, k, v, causal_mask(4, DType::f64)), Error);
}

TEST_CASE("attention: all gradients agree with the oracles, through a mask, too") {
  const std::vector<Tensor> inputs{random_normal({2, 4, 3}, 5), random_normal({2, 4, 3}, 6),
                                   random_normal({2, 4, 2}, 7)};
  for (const bool causal : {false, true}) {
    const TensorFunction f = [&](std::span<const Tensor> in) {
      // The oracles' numbers have types of their own.
      const Index length = in[1].shape()[1];
      const Tensor mask = causal ? causal_mask(length, in[0].dtype()) : Tensor();
      return std::vector{attention(in[0], in[1], in[2], mask)};
    };
    const GradcheckReport report = gradcheck(f, inputs);
    CHECK_MESSAGE(report.passed(), report.failures());
  }
}

TEST_CASE("a causal mask hides what comes later from values and gradients, to the bit") {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const auto of = [&](const Shape& shape, std::uint64_t seed) {
      return Tensor::of(shape, random_normal(shape, seed).values<double>(), dtype);
    };
    const Tensor q = of({6, 4}, 1), k = of({6, 4}, 2), v = of({6, 4}, 3);
    const Tensor mask = causal_mask(6, dtype);
    const Tensor y = attention(q, k, v, mask);
    const Tensor other_k = concat({slice(k, 0, 0, 3), of({3, 4}, 4)}, 0);
    const Tensor other_v = concat({slice(v, 0, 0, 3), of({3, 4}, 5)}, 0);
    const Tensor z = attention(q, other_k, other_v, mask);
    CHECK(same_bytes(slice(y, 0, 0, 3), slice(z, 0, 0, 3)));
    CHECK_FALSE(same_bytes(slice(y, 0, 3, 4), slice(z, 0, 3, 4)));
    Tape tape;
    tape.watch(k);
    tape.watch(v);
    Tensor early;
    {
      const Recording on(tape);
      early = sum(slice(attention(q, k, v, mask), 0, 0, 3));
    }
    const Gradients gradients = tape.backward(early);
    for (const Tensor& t : {k, v}) {
      const Doubles g = gradients.of(t).to_doubles();
      for (std::size_t i = 12; i < 24; ++i) CHECK(g[i] == 0);
      CHECK(g[0] != 0);
    }
  }
}
