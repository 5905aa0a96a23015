// The short step is the long one.
#include "engine/module.hpp"

#include <doctest/doctest.h>

#include "engine/adam.hpp"
#include "engine/gradcheck.hpp"
#include "engine/ops.hpp"

using namespace posetape;

namespace {

struct Layers {
  Layers(ParameterList& list, Index hidden)
      : w1(list.add("w1", {hidden, 4}, {Init::uniform, 0.5})),
        w2(list.add("w2", {3, hidden}, {Init::normal, 0.3})) {}
  Tensor operator()(const Tensor& x) const { return linear(tanh(linear(x, w1)), w2); }
  Tensor w1, w2;
};

Tensor f32(const Shape& shape, std::uint64_t seed) {
  return Tensor::of(shape, random_normal(shape, seed).values<double>(), DType::f32);
}

}  // namespace

TEST_CASE("two statements a step train as the tape by hand does, to the bit") {
  const Tensor x = f32({5, 4}, 1);
  const Tensor y = f32({5, 3}, 2);
  const Module<Layers> net(Index{8}, DType::f32, /*seed=*/7);
  Adam adam(net);

  ParameterList list = make_parameters<Layers>(Index{8}, DType::f32, 7);
  const Layers layers(list, 8);
  Adam by_hand(list);
  for (int step = 0; step < 3; ++step) {
    const Tensor loss = gradients(net, [&] { return mse_loss(net(x), y); });
    adam.step(1e-2);

    Tape tape;
    list.watch(tape);
    Tensor expected;
    {
      const Recording on(tape);
      expected = mse_loss(layers(x), y);
    }
    Tape::Options options;
    options.destinations = list.destinations();
    tape.backward(expected, options);
    by_hand.step(1e-2);
    CHECK(same_bytes(loss, expected));
    CHECK(same_bytes(net.gradients(), list.gradients()));
    CHECK(same_bytes(net.masters(), list.masters()));
  }
  CHECK(same_bytes(net.layers().w2, layers.w2));
}

TEST_CASE("what would be lost or silent is an error of the short step, too") {
  const Tensor x = f32({5, 4}, 1);
  const Module<Layers> net(Index{8}, DType::f32, 7);
  const auto loss = [&] { return sum(net(x)); };
  (void)gradients(net, loss);
  CHECK_THROWS_WITH_AS(gradients(net, loss), doctest::Contains("that nobody has read"), Error);
  fill(net.gradients(), 0);
  CHECK_THROWS_WITH_AS(gradients(net, [] { return Tensor(); }),
                       doctest::Contains("the loss is an undefined tensor"), Error);
  CHECK_THROWS_WITH_AS(gradients(net, [&] { return net(x); }),
                       doctest::Contains("loss has shape [5, 3]"), Error);
}
