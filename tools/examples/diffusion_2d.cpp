// Diffusion on points of the plane, and a picture of the path from noise to them:
//
//   diffusion_2d path.svg
//
// A network learns to tell the noise in x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise
// (Ho et al., arXiv 2006.11239), and DDIM (Song et al., arXiv 2010.02502) walks from t = T to 0.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "diffusion/schedule.hpp"
#include "engine/adam.hpp"
#include "engine/atomic_file.hpp"
#include "engine/module.hpp"
#include "engine/ops.hpp"
#include "engine/random_fill.hpp"
#include "model/layers.hpp"
#include "model/pose_denoiser.hpp"

using namespace posetape;

namespace {

constexpr int kSteps = 100;  // T
constexpr Index kEmbedding = 32;
constexpr Index kBatch = 256;

struct Network {
  Network(ParameterList& list, Index width)
      : input(list, "input", 2 + kEmbedding, width),
        hidden1(list, "hidden1", width, width),
        hidden2(list, "hidden2", width, width),
        hidden3(list, "hidden3", width, width),
        output(list, "output", width, 2) {}
  // x_t [B, 2], one t a point -> the noise in it [B, 2]
  Tensor operator()(const Tensor& x, std::span<const int> t) const {
    const Tensor embedding = model::sinusoidal_embedding(t, kEmbedding, x.dtype());
    const Tensor h = input(concat({x, embedding}, -1), Activation::silu);
    return output(
        hidden3(hidden2(hidden1(h, Activation::silu), Activation::silu), Activation::silu));
  }
  model::Linear input, hidden1, hidden2, hidden3, output;
};

// A point of the data: two half circles that embrace each other.
std::array<double, 2> moon(Random& random) {
  const double angle = 3.14159265 * random.uniform();
  const bool upper = random.below(2) == 0;
  const double x = upper ? std::cos(angle) : 1 - std::cos(angle);
  const double y = upper ? std::sin(angle) : 0.5 - std::sin(angle);
  return {x - 0.5 + 0.04 * random.normal(), y - 0.25 + 0.04 * random.normal()};
}

double train(const Module<Network>& network, const diffusion::Schedule& schedule, int steps) {
  Adam adam(network);
  double mean = 1;
  for (int step = 0; step < steps; ++step) {
    Random random(1, Stream::timestep, static_cast<std::uint64_t>(step));
    std::vector<int> t;
    std::vector<double> noise, noised;
    for (Index b = 0; b < kBatch; ++b) {
      t.push_back(1 + static_cast<int>(random.below(kSteps)));
      for (const double x0 : moon(random)) {
        noise.push_back(random.normal());
        noised.push_back(schedule.sqrt_alpha_bar(t.back()) * x0 +
                         schedule.sqrt_one_minus(t.back()) * noise.back());
      }
    }
    const Tensor x = Tensor::of({kBatch, 2}, noised, DType::f32);
    const Tensor target = Tensor::of({kBatch, 2}, noise, DType::f32);
    const Tensor loss = gradients(network, [&] { return mse_loss(network(x, t), target); });
    adam.step(3e-3 * (1 - static_cast<double>(step) / steps));
    mean = 0.99 * mean + 0.01 * loss.item();
  }
  return mean;
}

// The states of DDIM without noise of its own, from x_T to x_0, [points][2] each.
std::vector<std::vector<double>> path(const Module<Network>& network,
                                      const diffusion::Schedule& schedule, Index points,
                                      int moves) {
  const Tensor start = Tensor::empty({points, 2}, DType::f32);
  fill_normal(start, 7, Stream::noise);
  std::vector<std::vector<double>> states{start.to_doubles()};
  const std::vector<int> tau = diffusion::ddim_steps(kSteps, moves);
  for (std::size_t i = 0; i + 1 < tau.size(); ++i) {
    const std::vector<double>& x = states.back();
    const std::vector<int> t(static_cast<std::size_t>(points), tau[i]);
    const std::vector<double> noise =
        network(Tensor::of({points, 2}, x, DType::f32), t).to_doubles();
    std::vector<double> next;
    for (std::size_t k = 0; k < x.size(); ++k) {
      // Near T little of x0 is left in x, and an error of the noise is multiplied up: data lies
      // within 2 of the origin.
      const double x0 = std::clamp(
          (x[k] - schedule.sqrt_one_minus(tau[i]) * noise[k]) / schedule.sqrt_alpha_bar(tau[i]),
          -2.0, 2.0);
      const double rest =
          (x[k] - schedule.sqrt_alpha_bar(tau[i]) * x0) / schedule.sqrt_one_minus(tau[i]);
      next.push_back(schedule.sqrt_alpha_bar(tau[i + 1]) * x0 +
                     schedule.sqrt_one_minus(tau[i + 1]) * rest);
    }
    states.push_back(std::move(next));
  }
  return states;
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
  const diffusion::Schedule schedule =
      diffusion::make_schedule(diffusion::ScheduleKind::cosine, kSteps);
  const Module<Network> network(Index{96}, DType::f32, /*seed=*/1);
  std::printf("loss after training: %.3f\n", train(network, schedule, 4000));
  const auto states = path(network, schedule, 300, 25);
  const double before = distance_from_moons(states.front());
  const double after = distance_from_moons(states.back());
  std::printf("distance from the data: %.3f at t = %d, %.3f at t = 0\n", before, kSteps, after);
  if (argc > 1) write_file(argv[1], drawing(states));
  return after < 0.2 * before ? 0 : 1;
}
