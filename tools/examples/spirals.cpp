// Two spirals told apart by a small network: the engine alone, with nothing of poses.
//
//   g++ -std=c++20 spirals.cpp $(pkg-config --cflags --libs posetape) -o spirals && ./spirals
#include <cmath>
#include <cstdio>
#include <vector>

#include "engine/adam.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/rng.hpp"

using namespace posetape;

namespace {

constexpr Index kPoints = 400;

// Layers are built twice: once to count the parameters, once on their memory.
struct Layers {
  Layers(ParameterList& list, Index hidden) {
    w1 = list.add("w1", {hidden, 2}, {Init::uniform, 1});
    b1 = list.add("b1", {hidden}, {Init::uniform, 1});
    w2 = list.add("w2", {hidden, hidden}, {Init::uniform, 0.2});
    b2 = list.add("b2", {hidden}, {});
    w3 = list.add("w3", {1, hidden}, {Init::uniform, 0.2});
  }
  // x [points, 2] -> [points, 1], above 0 on the first spiral and below on the second.
  Tensor operator()(const Tensor& x) const {
    const Tensor h = linear(linear(x, w1, b1, Activation::gelu), w2, b2, Activation::gelu);
    return tanh(linear(h, w3));
  }
  Tensor w1, b1, w2, b2, w3;
};

}  // namespace

int main() {
  Random random(1, Stream::test);
  std::vector<double> points, sides;
  for (Index i = 0; i < kPoints; ++i) {
    const double side = i % 2 == 0 ? 1 : -1;
    const double turn = 9 * std::sqrt(random.uniform());
    points.push_back(side * 0.1 * turn * std::cos(turn) + 0.02 * random.normal());
    points.push_back(side * 0.1 * turn * std::sin(turn) + 0.02 * random.normal());
    sides.push_back(side);
  }
  const Tensor x = Tensor::of({kPoints, 2}, points, DType::f32);
  const Tensor y = Tensor::of({kPoints, 1}, sides, DType::f32);

  const Module<Layers> network(Index{48}, DType::f32, /*seed=*/2);
  Adam adam(network);
  for (int step = 1; step <= 1000; ++step) {
    const Tensor loss = gradients(network, [&] { return mse_loss(network(x), y); });
    adam.step(0.005);
    if (step % 200 == 0) std::printf("step %4d  loss %.5f\n", step, loss.item());
  }

  const std::vector<double> guesses = network(x).to_doubles();
  Index right = 0;
  for (std::size_t i = 0; i < sides.size(); ++i) right += guesses[i] * sides[i] > 0;
  std::printf("%d of %d points on the right side\n", static_cast<int>(right), int{kPoints});
  return 50 * right > 49 * kPoints ? 0 : 1;
}
