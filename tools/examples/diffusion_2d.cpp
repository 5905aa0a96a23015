// Diffusion on points of the plane, and a picture of the path from noise to them:
//
//   diffusion_2d path.svg
//
// What is trained and how it samples is diffusion/gaussian.hpp's.
//
//   g++ -std=c++20 diffusion_2d.cpp $(pkg-config --cflags --libs posetape) -o diffusion_2d
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "diffusion/gaussian.hpp"
#include "engine/adam.hpp"
#include "engine/atomic_file.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/rng.hpp"
#include "engine/taps.hpp"
#include "model/layers.hpp"
#include "model/pose_denoiser.hpp"

using namespace posetape;

namespace {

constexpr int kSteps = 100;  // T
constexpr Index kEmbedding = 32;

struct Network {
  Network(ParameterList& list, Index width)
      : input(list, "input", 2 + kEmbedding, width),
        hidden1(list, "hidden1", width, width),
        hidden2(list, "hidden2", width, width),
        hidden3(list, "hidden3", width, width),
        output(list, "output", width, 2) {
    std::vector<int> t(kSteps + 1);
    std::iota(t.begin(), t.end(), 0);
    times = model::sinusoidal_embedding(t, kEmbedding, DType::f32);
  }
  // x_t [B, 2], t i32 [B] -> the noise in it [B, 2]
  Tensor operator()(const Tensor& x, const Tensor& t) const {
    const Tensor h = input(concat({x, gather(times, t)}, -1), Activation::silu);
    return output(
        hidden3(hidden2(hidden1(h, Activation::silu), Activation::silu), Activation::silu));
  }
  model::Linear input, hidden1, hidden2, hidden3, output;
  Tensor times;
};

// Points of the data: two half circles that embrace each other.
Tensor moons(Index count, std::uint64_t step) {
  Random random(1, Stream::motion, step);
  std::vector<double> points;
  for (Index i = 0; i < count; ++i) {
    const double angle = 3.14159265 * random.uniform();
    const bool upper = random.below(2) == 0;
    const double x = upper ? std::cos(angle) : 1 - std::cos(angle);
    const double y = upper ? std::sin(angle) : 0.5 - std::sin(angle);
    points.push_back(x - 0.5 + 0.04 * random.normal());
    points.push_back(y - 0.25 + 0.04 * random.normal());
  }
  return Tensor::of({count, 2}, points, DType::f32);
}

// Each point's path as a line, and where it ends as a dot.
std::string drawing(const std::vector<std::vector<double>>& states) {
  std::string svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-3 -3 6 6\" width=\"600\">\n"
      "<rect x=\"-3\" y=\"-3\" width=\"6\" height=\"6\" fill=\"white\"/>\n";
  for (std::size_t p = 0; p < states[0].size(); p += 2) {
    svg +=
        "<polyline fill=\"none\" stroke=\"steelblue\" stroke-opacity=\"0.3\" "
        "stroke-width=\"0.01\" points=\"";
    for (const auto& x : states) svg += fmt::format("{:.3f},{:.3f} ", x[p], -x[p + 1]);
    svg += fmt::format("\"/><circle r=\"0.02\" fill=\"crimson\" cx=\"{:.3f}\" cy=\"{:.3f}\"/>\n",
                       states.back()[p], -states.back()[p + 1]);
  }
  return svg + "</svg>\n";
}

// Mean distance of the points from the nearer of the two half circles.
double distance_from_moons(const std::vector<double>& points) {
  double sum = 0;
  for (std::size_t p = 0; p < points.size(); p += 2) {
    double nearest = 1e9;
    for (int i = 0; i <= 200; ++i) {
      const double a = 3.14159265 * i / 200;
      const double x = points[p] + 0.5;
      const double y = points[p + 1] + 0.25;
      nearest = std::min({nearest, std::hypot(x - std::cos(a), y - std::sin(a)),
                          std::hypot(x - 1 + std::cos(a), y - 0.5 + std::sin(a))});
    }
    sum += nearest / (static_cast<double>(points.size()) / 2);
  }
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  const Module<Network> network(Index{96}, DType::f32, /*seed=*/1);
  const diffusion::GaussianDiffusion diffusion({.T = kSteps}, DType::f32);
  Adam adam(network);
  double mean = 1;
  for (int step = 0; step < 4000; ++step) {
    const auto e = diffusion.example(moons(256, step), /*seed=*/1, step);
    const Tensor loss = gradients(network, [&] { return diffusion.loss(network(e.x, e.t), e); });
    adam.step(3e-3 * (1 - step / 4000.0));
    mean = 0.99 * mean + 0.01 * loss.item();
    if (step % 1000 == 999) std::printf("step %d  loss %.3f\n", step + 1, mean);
  }
  Taps taps({"x_t"});
  const Tensor end = diffusion.sample(network, {300, 2}, {.steps = 25, .clip = 2}, /*seed=*/7);
  std::vector<std::vector<double>> states;
  for (const Taps::Captured& state : taps.captured()) states.push_back(state.values);
  states.push_back(end.to_doubles());
  const double before = distance_from_moons(states.front());
  const double after = distance_from_moons(states.back());
  std::printf("distance from the data: %.3f at t = %d, %.3f at t = 0\n", before, kSteps, after);
  if (argc > 1) write_file(argv[1], drawing(states));
  return after < 0.2 * before ? 0 : 1;
}
