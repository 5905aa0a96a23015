// Three spirals told apart: a network with dropout, cross-entropy, and a rate that rises and falls.
//
//   g++ -std=c++20 classes.cpp $(pkg-config --cflags --libs posetape) -o classes && ./classes
#include <cmath>
#include <cstdio>
#include <vector>

#include "engine/adam.hpp"
#include "engine/learning_rate.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"

using namespace posetape;

struct Layers {
  Layers(ParameterList& list, Index hidden) {
    w1 = list.add("w1", {hidden, 2}, {Init::uniform, 2});
    b1 = list.add("b1", {hidden}, {Init::uniform, 2});
    w2 = list.add("w2", {hidden, hidden}, {Init::uniform, 0.2});
    b2 = list.add("b2", {hidden}, {});
    w3 = list.add("w3", {3, hidden}, {Init::uniform, 0.2});
  }
  // x [points, 2] -> logits [points, 3]
  Tensor operator()(const Tensor& x, double rate, std::uint64_t step) const {
    const Tensor a = linear(x, w1, b1, Activation::gelu);
    const Tensor b = linear(dropout(a, rate, 1, Stream::dropout, step), w2, b2, Activation::gelu);
    return linear(dropout(b, rate, 2, Stream::dropout, step), w3);
  }
  Tensor w1, b1, w2, b2, w3;
};

int main() {
  constexpr Index kPoints = 600;
  constexpr std::uint64_t kSteps = 800;
  Random random(1, Stream::test);
  std::vector<double> points;
  std::vector<std::int32_t> arms;
  for (Index i = 0; i < kPoints; ++i) {
    arms.push_back(static_cast<std::int32_t>(i % 3));
    const double turn = 6 * std::sqrt(random.uniform());
    const double angle = turn + 2.0944 * arms.back();
    points.push_back(0.15 * turn * std::cos(angle) + 0.02 * random.normal());
    points.push_back(0.15 * turn * std::sin(angle) + 0.02 * random.normal());
  }
  const Tensor x = Tensor::of({kPoints, 2}, points, DType::f32);
  const Tensor y = Tensor::of<std::int32_t>({kPoints}, arms);

  const Module<Layers> net(Index{64}, DType::f32, /*seed=*/2);
  Adam adam(net, {.weight_decay = 1e-3, .undecayed = {"b*"}});
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    const Tensor loss = gradients(net, [&] { return cross_entropy(net(x, 0.05, step), y); });
    adam.step(cosine_rate(static_cast<std::int64_t>(step), kSteps, 40, 0.01));
    if (step % 200 == 199) std::printf("step %3d  loss %.4f\n", int(step) + 1, loss.item());
  }
  const Tensor hits = argmax(net(x, 0, 0));
  int right = 0;
  for (std::size_t i = 0; i < arms.size(); ++i) right += hits.data<std::int32_t>()[i] == arms[i];
  std::printf("%d of %d points on the right arm\n", right, int{kPoints});
  return 50 * right > 49 * kPoints ? 0 : 1;
}
