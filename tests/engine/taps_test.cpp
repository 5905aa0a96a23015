// Names, patterns, gradients and attention probabilities of taps on small functions.
#include "engine/taps.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/attention.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/parameters.hpp"
#include "engine/tape.hpp"

using namespace posetape;

TEST_CASE("a pattern matches from the beginning of any part of a name to its end") {
  CHECK(tap_matches("x_hat", "x_hat"));
  CHECK(tap_matches("x_hat", "step.1.x_hat"));
  CHECK(tap_matches("blocks.*.attention", "step.12.blocks.0.stc1.time.attention"));
  CHECK(tap_matches("step.?.blocks.*", "step.1.blocks.0.norm1"));
  CHECK(tap_matches("*", "anything.at.all"));
  CHECK(tap_matches("a*b*c", "abbxbc"));
  CHECK_FALSE(tap_matches("hat", "step.1.x_hat"));
  CHECK_FALSE(tap_matches("step.?.blocks.*", "step.12.blocks.0.norm1"));
  CHECK_FALSE(tap_matches("blocks.*.attention", "blocks.0.attention.more"));
  CHECK_FALSE(tap_matches("x_hat", "step.1.x_ha"));
  CHECK_FALSE(tap_matches("", "a"));
}

TEST_CASE("taps capture tensors, norms and gradients under their scopes") {
  const Tensor x = Tensor::of<double>({3}, std::vector{1.0, -2.0, 2.0});
  Tape tape;
  tape.watch(x);
  Taps taps({"y", "y.norm", "x.grad", "*.y.grad", "loss.grad.norm", "twice"});
  Tensor loss;
  {
    const Recording on(tape);
    show("x", x);
    const Scope outer("part");
    const Scope inner("layer", 4);
    const Tensor y = tap("y", mul(x, x));
    show("twice", y.shape(), [&] {
      std::vector<double> values = y.to_doubles();
      for (double& v : values) v *= 2;
      return values;
    });
    loss = tap("loss", sum(mul(y, y)));
  }
  CHECK(taps.at("part.layer.4.y").values == std::vector{1.0, 4.0, 4.0});
  CHECK(taps.at("part.layer.4.y").shape == Shape{3});
  CHECK(taps.at("part.layer.4.y.norm").values[0] == doctest::Approx(std::sqrt(33.0)));
  CHECK(taps.at("part.layer.4.twice").values == std::vector{2.0, 8.0, 8.0});
  CHECK_THROWS_WITH_AS(taps.check(), doctest::Contains("tap x.grad: no gradient has come to x;"),
                       Error);
  tape.backward(loss);
  // loss = sum x^4
  CHECK(taps.at("part.layer.4.y.grad").values == std::vector{2.0, 8.0, 8.0});
  CHECK(taps.at("x.grad").values == std::vector{4.0, -32.0, 32.0});
  CHECK(taps.at("part.layer.4.loss.grad.norm").values == std::vector{1.0});
  taps.check();
  CHECK(taps.captured().size() == 6);
  for (const Taps::Seen& s : taps.seen()) CHECK(s.gradient == (s.name != "part.layer.4.twice"));
}

TEST_CASE("a pattern that captured nothing is refused with the nearest names") {
  Taps taps({"blocks.*.atention"});
  const Tensor x = Tensor::zeros({1}, DType::f32);
  for (const char* name : {"step.1.blocks.0.stc1.space.attention", "step.1.x_hat", "refined",
                           "step.2.blocks.1.stc1.space.attention"}) {
    show(name, x);
  }
  CHECK_THROWS_WITH_AS(taps.check(),
                       "tap blocks.*.atention: matches no name of this pass; nearest: "
                       "step.1.blocks.0.stc1.space.attention, step.1.x_hat, refined",
                       Error);
  CHECK_THROWS_WITH_AS(taps.at("x"), doctest::Contains("nothing is captured as x"), Error);
}

TEST_CASE(
    "the innermost taps see, an undefined tensor has no name, a name that comes again replaces") {
  Taps outer({"*"});
  {
    Taps inner({"a"});
    show("a", Tensor::full({2}, 1, DType::f32));
    show("a", Tensor::full({2}, 3, DType::bf16));
    show("a", Tensor());
    CHECK(inner.captured().size() == 1);
    CHECK(inner.at("a").values == std::vector{3.0, 3.0});
  }
  CHECK(Taps::current() == &outer);
  CHECK(outer.seen().empty());
  show("b", 7);
  CHECK(outer.at("b").shape == Shape());
  CHECK(outer.at("b").values == std::vector{7.0});
  outer.clear();
  CHECK(outer.captured().empty());
  outer.check();
}

TEST_CASE("parameters go by their names") {
  ParameterList list(64, DType::f32, 1);
  const Tensor w = list.add("w", {2, 2}, {Init::uniform, 1});
  Tape tape;
  list.watch(tape);
  Taps taps({"w", "w.grad"});
  list.tap();
  Tensor loss;
  {
    const Recording on(tape);
    loss = sum(scale(w, 3));
  }
  tape.backward(loss, {.cotangent = {}, .destinations = list.destinations()});
  CHECK(taps.at("w").values == w.to_doubles());
  CHECK(taps.at("w.grad").values == std::vector(4, 3.0));
}

TEST_CASE("attention probabilities give axial_attention's output back") {
  const Index B = 2, N = 3, J = 4, H = 2, D = 8;
  for (const Axis layout : {Axis::space, Axis::time, Axis::cross}) {
    const Index segments = layout == Axis::cross ? 2 : 1;
    const Index width = D / segments / H;
    const Tensor qkv = random_normal({B, N, J, 3 * D}, 5);
    const std::vector<double> in = qkv.to_doubles();
    const std::vector<double> expected = axial_attention(qkv, layout, H, 0.7).to_doubles();
    for (const Axis axis : {Axis::space, Axis::time}) {
      if (layout != Axis::cross && layout != axis) {
        CHECK_THROWS_AS(AttentionProbabilities(qkv, layout, H, 0.7, axis), Error);
        continue;
      }
      const AttentionProbabilities attention(qkv, layout, H, 0.7, axis);
      const std::vector<double> p = attention.values();
      const Index lines = axis == Axis::space ? N : J;
      const Index length = axis == Axis::space ? J : N;
      REQUIRE(attention.shape() == Shape{B, lines, H, length, length});
      REQUIRE(attention.mean_shape() == Shape{H, length, length});
      std::vector<double> mean(static_cast<std::size_t>(H * length * length), 0.0);
      const Index first = layout == Axis::cross && axis == Axis::time ? D / 2 : 0;
      for (Index b = 0; b < B; ++b) {
        for (Index line = 0; line < lines; ++line) {
          const auto token = [&](Index place) {
            return axis == Axis::space ? (b * N + line) * J + place : (b * N + place) * J + line;
          };
          for (Index h = 0; h < H; ++h) {
            for (Index i = 0; i < length; ++i) {
              const Index row = (((b * lines + line) * H + h) * length + i) * length;
              double sum = 0;
              for (Index j = 0; j < length; ++j) {
                const double each = p[static_cast<std::size_t>(row + j)];
                sum += each;
                mean[static_cast<std::size_t>((h * length + i) * length + j)] +=
                    each / static_cast<double>(B * lines);
              }
              CHECK(sum == doctest::Approx(1));
              for (Index c = 0; c < width; ++c) {
                const Index channel = first + h * width + c;
                double out = 0;
                for (Index j = 0; j < length; ++j) {
                  out += p[static_cast<std::size_t>(row + j)] *
                         in[static_cast<std::size_t>(token(j) * 3 * D + 2 * D + channel)];
                }
                CHECK(out ==
                      doctest::Approx(expected[static_cast<std::size_t>(token(i) * D + channel)]));
              }
            }
          }
        }
      }
      const std::vector<double> found = attention.mean();
      for (std::size_t i = 0; i < mean.size(); ++i) CHECK(found[i] == doctest::Approx(mean[i]));
    }
  }
}

TEST_CASE("tapping attention takes the mean, or every row, of the axes that there are") {
  const Tensor qkv = random_normal({2, 3, 4, 12}, 5);
  Taps mean({"attention"});
  tap_attention(qkv, Axis::cross, 1);
  CHECK(mean.at("space.attention").shape == Shape{1, 4, 4});
  CHECK(mean.at("time.attention").shape == Shape{1, 3, 3});
  Taps whole({"attention"}, {.whole_attention = true});
  tap_attention(qkv, Axis::time, 2);
  REQUIRE(whole.captured().size() == 1);
  CHECK(whole.at("time.attention").shape == Shape{2, 4, 2, 3, 3});
}
