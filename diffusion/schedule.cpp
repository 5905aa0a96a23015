#include "diffusion/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "engine/error.hpp"

namespace posetape::diffusion {
namespace {

// No step may destroy everything, or x0 could not be recovered from its other side.
constexpr double kLargestBeta = 0.999;

// Each kind as f(t), of which only ratios count: beta_t = 1 - f(t) / f(t - 1).
double cosine_curve(int t, int T) {
  constexpr double s = 0.008;
  const double angle = (static_cast<double>(t) / T + s) / (1 + s) * std::numbers::pi / 2;
  return std::cos(angle) * std::cos(angle);
}

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

double sigmoid_curve(int t, int T) {
  constexpr double start = -3;
  constexpr double end = 3;
  const double x = start + (end - start) * t / T;
  return (logistic(end) - logistic(x)) / (logistic(end) - logistic(start));
}

double linear_beta(int t, int T) {
  constexpr double first = 1e-4;
  constexpr double last = 0.02;
  const double position = T == 1 ? 1.0 : (t - 1.0) / (T - 1.0);
  return 1000.0 / T * (first + (last - first) * position);
}

double beta(ScheduleKind kind, int t, int T) {
  switch (kind) {
    case ScheduleKind::linear:
      return linear_beta(t, T);
    case ScheduleKind::sigmoid:
      return 1 - sigmoid_curve(t, T) / sigmoid_curve(t - 1, T);
    default:
      return 1 - cosine_curve(t, T) / cosine_curve(t - 1, T);
  }
}

double at(const Schedule& schedule, int t) {
  if (t < 0 || t > schedule.T) fail("timestep {} is outside 0 ... T = {}", t, schedule.T);
  return schedule.alpha_bar[static_cast<std::size_t>(t)];
}

}  // namespace

double Schedule::sqrt_alpha_bar(int t) const {
  return std::sqrt(at(*this, t));
}

double Schedule::sqrt_one_minus(int t) const {
  return std::sqrt(1 - at(*this, t));
}

ForwardCoefficients Schedule::forward(int t) const {
  return {sqrt_alpha_bar(t), sqrt_one_minus(t)};
}

X0Coefficients Schedule::predict_x0(int k) const {
  const double both = sqrt_one_minus(k) + sqrt_alpha_bar(k);
  return {1 / both, -sqrt_one_minus(k) / both};
}

StepCoefficients Schedule::step_to(int j) const {
  return {sqrt_one_minus(j) + sqrt_alpha_bar(j), sqrt_one_minus(j)};
}

Schedule make_schedule(ScheduleKind kind, int T) {
  if (T < 1) fail("a noise schedule needs T >= 1 diffusion steps, {} given", T);
  Schedule schedule{kind, T, {1.0}};
  for (int t = 1; t <= T; ++t) {
    const double alpha = 1 - std::min(beta(kind, t, T), kLargestBeta);
    schedule.alpha_bar.push_back(schedule.alpha_bar.back() * alpha);
  }
  return schedule;
}

std::vector<int> ddim_steps(int T, int K) {
  if (K < 1 || K > T) {
    fail("{} denoising steps for T = {} diffusion steps; choose 1 to {}", K, T, T);
  }
  std::vector<int> steps;
  for (int i = K; i >= 0; --i) {
    // i T / K to the nearest integer. Neighbours are at least 1 apart before, so they differ after.
    steps.push_back(static_cast<int>((2 * std::int64_t{i} * T + K) / (2 * std::int64_t{K})));
  }
  return steps;
}

}  // namespace posetape::diffusion
