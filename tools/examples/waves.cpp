// Kinds of waves told apart by convolutions over time.
//   g++ -std=c++20 waves.cpp $(pkg-config --cflags --libs posetape) -o waves && ./waves
#include <cmath>
#include <cstdio>
#include <vector>

#include "engine/adam.hpp"
#include "engine/conv1d.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/rng.hpp"

using namespace posetape;
constexpr Index kWaves = 64, kFrames = 96;

struct Layers {
  Layers(ParameterList& list, Index channels) {
    first = list.add("first", {channels, 9, 1}, {Init::uniform, 0.3});
    second = list.add("second", {channels, 5, channels}, {Init::uniform, 0.1});
    out = list.add("out", {3, channels}, {Init::uniform, 0.3});
  }
  // x [waves, frames, 1] -> logits [waves, 3], wherever in a wave something is seen
  Tensor operator()(const Tensor& x) const {
    const Tensor a = gelu(conv1d(x, first, {}, {.stride = 2, .before = 4, .after = 4}));
    const Tensor b = gelu(conv1d(a, second, {}, {.dilation = 2, .before = 4, .after = 4}));
    return linear(max(b, {{1}}), out);
  }
  Tensor first, second, out;
};

// Sines, triangles and squares of random periods and phases, with noise; wave i is of kind i % 3.
Tensor waves(std::uint64_t number) {
  Random random(3, Stream::test, number);
  std::vector<double> x;
  for (Index i = 0; i < kWaves; ++i) {
    const double period = random.uniform(16, 40), phase = random.uniform(0, 6.2832);
    for (Index t = 0; t < kFrames; ++t) {
      const double s = std::sin(6.2832 * static_cast<double>(t) / period + phase);
      const double kinds[] = {s, std::asin(s) * 2 / 3.1416, s > 0 ? 1.0 : -1.0};
      x.push_back(kinds[i % 3] + 0.05 * random.normal());
    }
  }
  return Tensor::of({kWaves, kFrames, 1}, x, DType::f32);
}

int main() {
  std::vector<std::int32_t> kinds;
  for (std::int32_t i = 0; i < kWaves; ++i) kinds.push_back(i % 3);
  const Tensor y = Tensor::of<std::int32_t>({kWaves}, kinds);
  const Module<Layers> net(Index{16}, DType::f32, /*seed=*/4);
  Adam adam(net);
  for (std::uint64_t step = 1; step <= 300; ++step) {
    const Tensor loss = gradients(net, [&] { return cross_entropy(net(waves(step)), y); });
    adam.step(0.01);
    if (step % 100 == 0) std::printf("step %3d  loss %.4f\n", int(step), loss.item());
  }
  const double unseen = cross_entropy(net(waves(0)), y).item();
  std::printf("loss on waves that it has not seen %.4f\n", unseen);
  return unseen < 0.1 ? 0 : 1;
}
