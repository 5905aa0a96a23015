// The tape: what is recorded, where gradients go, and how often.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"
#include "engine/tape.hpp"
#include "tests/cases/cases.hpp"

using namespace posetape;

namespace {

Tensor numbers(std::vector<double> values, DType dtype = DType::f64) {
  return Tensor::of({static_cast<Index>(values.size())}, values, dtype);
}

std::vector<double> values(const Tensor& t) {
  return t.to_doubles();
}

using Doubles = std::vector<double>;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("nothing is recorded without a tape, or of what no watched tensor leads to") {
  Tape tape;
  const Tensor x = numbers({1, 2});
  const Tensor y = numbers({3, 4});
  tape.watch(x);
  (void)mul(x, x);
  CHECK(tape.nodes().empty());
  Recording on(tape);
  (void)mul(y, y);
  CHECK(tape.nodes().empty());
  const Tensor square = Tensor::full({2, 2}, 1.0, DType::f64);
  (void)linear(square, square);  // without a bias
  CHECK(tape.nodes().empty());
  CHECK_FALSE(recording({y}));
  const Tensor z = mul(x, y);
  CHECK(tape.nodes().size() == 1);
  CHECK(recording({y, z}));
  CHECK(tape.nodes()[0].op == Op::mul);
  CHECK(cost(tape.nodes()[0]).flops == 2);
  CHECK(cost(tape.nodes()[0]).bytes == 3 * 2 * 8);
}

TEST_CASE("a value that is used several times collects every gradient") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  tape.watch(x);
  Tensor loss;
  {
    Recording on(tape);
    const Tensor y = mul(x, x);                       // x^2
    loss = sum(add(mul(y, x), add(y, scale(x, 5))));  // x^3 + x^2 + 5x
  }
  const Doubles expected{3 * 4 + 2 * 2 + 5, 3 * 9 + 2 * 3 + 5};
  CHECK(values(tape.backward(loss).of(x)) == expected);
}

TEST_CASE("one tensor as two inputs of one op") {
  Tape tape;
  const Tensor x = numbers({2, -3});
  tape.watch(x);
  Recording on(tape);
  CHECK(values(tape.backward(sum(mul(x, x))).of(x)) == Doubles{4, -6});
  CHECK(values(tape.backward(sum(add(x, x))).of(x)) == Doubles{2, 2});
  CHECK(values(tape.backward(sum(sub(x, x))).of(x)) == Doubles{0, 0});
}

TEST_CASE("a gradient that is passed on is not changed by what is added to one of its holders") {
  Tape tape;
  const Tensor a = numbers({1, 2});
  const Tensor b = numbers({3, 4});
  tape.watch(a);
  tape.watch(b);
  Tensor loss;
  {
    Recording on(tape);
    const Tensor early = mul(a, b);
    // add passes one cotangent to a and b; the gradients of `early` are added onto both.
    loss = sum(add(add(a, b), early));
  }
  const Gradients g = tape.backward(loss);
  CHECK(values(g.of(a)) == Doubles{4, 5});
  CHECK(values(g.of(b)) == Doubles{2, 3});
}

TEST_CASE("add hands its cotangent on without a copy") {
  Tape tape;
  const Tensor a = numbers({1, 2});
  const Tensor b = numbers({3, 4});
  tape.watch(a);
  tape.watch(b);
  Tensor y;
  {
    Recording on(tape);
    y = add(a, b);
  }
  Tape::Options options;
  options.cotangent = numbers({5, 6});
  const Gradients g = tape.backward(y, options);
  CHECK(g.of(a).raw() == options.cotangent.raw());
  CHECK(g.of(b).raw() == options.cotangent.raw());
}

TEST_CASE("a second backward gives the same gradients") {
  Tape tape;
  const Tensor x = random_normal({3, 4}, 1);
  const Tensor w = random_normal({5, 4}, 2);
  tape.watch(x);
  tape.watch(w);
  Tensor loss;
  {
    Recording on(tape);
    const Tensor y = linear(x, w, {}, Activation::gelu);
    loss = sum(mul(y, add(y, y)));
  }
  const Gradients first = tape.backward(loss);
  const Tensor dx = first.of(x).clone();
  const Gradients second = tape.backward(loss);
  CHECK(same_bytes(second.of(x), dx));
  CHECK(same_bytes(first.of(x), dx));  // and the first result is left alone
  CHECK(same_bytes(second.of(w), first.of(w)));
}

TEST_CASE("a released tape lets go of what it saved and refuses a second backward") {
  Tape tape;
  const Tensor x = numbers({1, 2});
  tape.watch(x);
  Tensor loss;
  {
    Recording on(tape);
    loss = sum(mul(x, x));
  }
  Tape::Options options;
  options.release = true;
  CHECK(values(tape.backward(loss, options).of(x)) == Doubles{2, 4});
  for (const Node& node : tape.nodes()) CHECK(node.saved.empty());
  CHECK_THROWS_AS(tape.backward(loss), Error);
  tape.clear();
  CHECK(tape.nodes().empty());
  tape.watch(x);
  Recording on(tape);
  CHECK(values(tape.backward(sum(x)).of(x)) == Doubles{1, 1});
}

TEST_CASE("a destination is written in place, whatever it held, and added to by later uses") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  const Tensor unused = numbers({1});
  tape.watch(x);
  tape.watch(unused);
  Tensor loss;
  {
    Recording on(tape);
    loss = sum(add(add(x, scale(x, 2)), mul(x, x)));
  }
  const Tensor gradient = numbers({kNaN, kNaN});
  const Tensor zero = numbers({kNaN});
  const std::vector<std::pair<Tensor, Tensor>> destinations{{x, gradient}, {unused, zero}};
  Tape::Options options;
  options.destinations = destinations;
  for (int run = 0; run < 2; ++run) {
    const Gradients g = tape.backward(loss, options);
    CHECK(g.of(x).raw() == gradient.raw());
    CHECK(values(gradient) == Doubles{7, 9});
    CHECK(values(zero) == Doubles{0});
  }
}

TEST_CASE("destinations of a value, and of the value that it was made from, do not mix") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  tape.watch(x);
  Tensor y;
  Tensor loss;
  {
    Recording on(tape);
    y = reshape(x, {2, 1});
    tape.watch(y);
    loss = sum(mul(reshape(y, {2}), x));
  }
  const Tensor dx = numbers({kNaN, kNaN});
  const Tensor dy = Tensor::full({2, 1}, kNaN, DType::f64);
  const std::vector<std::pair<Tensor, Tensor>> destinations{{x, dx}, {y, dy}};
  Tape::Options options;
  options.destinations = destinations;
  tape.backward(loss, options);
  CHECK(values(dx) == Doubles{4, 6});
  CHECK(values(dy) == Doubles{2, 3});
  const Gradients g = tape.backward(loss);
  CHECK(values(g.of(x)) == Doubles{4, 6});
  CHECK(values(g.of(y)) == Doubles{2, 3});
}

TEST_CASE("a watched tensor that the loss does not reach gets zeros, an unwatched one an Error") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  const Tensor other = numbers({1, 1, 1});
  tape.watch(x);
  tape.watch(other);
  Recording on(tape);
  const Tensor aside = mul(other, other);
  const Gradients g = tape.backward(sum(x));
  CHECK(values(g.of(other)) == Doubles{0, 0, 0});
  CHECK_THROWS_AS(g.of(aside), Error);
}

TEST_CASE("an intermediate value can be watched, and the loss itself") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  tape.watch(x);
  Recording on(tape);
  const Tensor y = mul(x, x);
  const Tensor loss = sum(mul(y, y));
  tape.watch(y);
  tape.watch(loss);
  const Gradients g = tape.backward(loss);
  CHECK(values(g.of(y)) == Doubles{8, 18});
  CHECK(values(g.of(x)) == Doubles{32, 108});
  CHECK(values(g.of(loss)) == Doubles{1});
}

TEST_CASE("backward from a watched tensor that nothing was computed from") {
  Tape tape;
  const Tensor x = numbers({2});
  tape.watch(x);
  CHECK(values(tape.backward(x).of(x)) == Doubles{1});
}

TEST_CASE("several outputs: only those that the loss reaches carry a cotangent") {
  Tape tape;
  const Tensor x = random_normal({2, 4}, 1);
  const Tensor gamma = random_normal({4}, 2);
  const Tensor beta = random_normal({4}, 3);
  const Tensor residual = random_normal({2, 4}, 4);
  tape.watch(x);
  Recording on(tape);
  const Normalized n = layer_norm(x, gamma, beta, 1e-5, residual);
  CHECK(values(tape.backward(sum(n.s)).of(x)) == Doubles(8, 1.0));
}

TEST_CASE("recordings nest: the innermost tape records, and the outer one goes on after it") {
  Tape outer;
  Tape inner;
  const Tensor x = numbers({2, 3});
  outer.watch(x);
  inner.watch(x);
  Recording on(outer);
  const Tensor y = mul(x, x);
  {
    Recording also(inner);
    const Tensor z = scale(x, 3);
    CHECK(inner.nodes().size() == 1);
    CHECK(values(inner.backward(sum(z)).of(x)) == Doubles{3, 3});
    CHECK(inner.nodes().size() == 2);
  }
  const Tensor loss = sum(y);
  CHECK(outer.nodes().size() == 2);
  CHECK(inner.nodes().size() == 2);
  CHECK(values(outer.backward(loss).of(x)) == Doubles{4, 6});
}

TEST_CASE("backward checks its loss, cotangent and destinations") {
  Tape tape;
  const Tensor x = numbers({2, 3});
  tape.watch(x);
  Recording on(tape);
  const Tensor y = mul(x, x);
  CHECK_THROWS_AS(tape.backward(y), Error);
  Tape::Options options;
  options.cotangent = numbers({1});
  CHECK_THROWS_AS(tape.backward(y, options), Error);
  options.cotangent = numbers({1, 1}, DType::f32);
  CHECK_THROWS_AS(tape.backward(y, options), Error);
  options.cotangent = numbers({1, 10});
  CHECK(values(tape.backward(y, options).of(x)) == Doubles{4, 60});
  const std::vector<std::pair<Tensor, Tensor>> wrong{{x, numbers({1})}};
  options.destinations = wrong;
  CHECK_THROWS_AS(tape.backward(y, options), Error);
  const std::vector<std::pair<Tensor, Tensor>> unknown{{y.clone(), y.clone()}};
  options.destinations = unknown;
  CHECK_THROWS_AS(tape.backward(y, options), Error);
}

TEST_CASE("a gradient through a cast is the cotangent in the input's type") {
  const Tensor cotangent = numbers({1.0, 1 + 0x1p-20, -3.0}, DType::f64);
  for (const DType from : {DType::f64, DType::f32, DType::bf16}) {
    for (const DType to : {DType::f64, DType::f32, DType::bf16}) {
      Tape tape;
      const Tensor x = numbers({0.5, -1.25, 3}, from);
      tape.watch(x);
      Tensor y;
      Tensor z;
      {
        Recording on(tape);
        y = cast(x, to);
        z = add(scale(x, 2), cast(y, from));
      }
      CHECK(y.dtype() == to);
      CHECK(values(y) == values(x));
      Tape::Options options;
      options.cotangent = Tensor::empty(cotangent.shape(), to);
      copy(cotangent, options.cotangent);
      const Tensor dx = tape.backward(y, options).of(x);
      CHECK(dx.dtype() == from);
      const Tensor expected = Tensor::empty(cotangent.shape(), from);
      copy(options.cotangent, expected);
      CHECK(same_bytes(dx, expected));
      // Added onto a gradient that is there.
      options.cotangent = numbers({1, 2, 4}, from);
      CHECK(values(tape.backward(z, options).of(x)) == Doubles{3, 6, 12});
    }
  }
}
