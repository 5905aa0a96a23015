// Noise schedules and the scalar coefficients of the diffusion: forward process and DDIM.
//
// The "noise" end of this diffusion is a noisy pose, epsilon = x0 + e, e being the error of a base
// estimator (Yan et al., "D3PRefiner", arXiv 2401.03914). Everything below is per timestep and in
// f64; x0, e and x are poses of any shape, in one unit.
#pragma once

#include <vector>

#include "engine/choices.hpp"

namespace posetape::diffusion {

enum class ScheduleKind {
  // Nichol and Dhariwal, arXiv 2102.09672, equation 17, offset s = 0.008. The method's own.
  cosine,
  // Ho et al., arXiv 2006.11239: beta from 1e-4 to 0.02 over 1000 steps, scaled by 1000 / T. A
  // single step is the last one.
  linear,
  // Jabri et al., arXiv 2212.11972: a logistic curve from -3 to 3.
  sigmoid,
};
constexpr auto choices(ScheduleKind) {
  using enum ScheduleKind;
  return make_choices<ScheduleKind>("noise schedule",
                                    {{cosine, "cosine"}, {linear, "linear"}, {sigmoid, "sigmoid"}});
}

// x_t = x0 * x0_clean + noise * epsilon.
struct ForwardCoefficients {
  double x0 = 1;
  double noise = 0;
};

// x0_hat = x * x_k + e * e_hat.
struct X0Coefficients {
  double x = 1;
  double e = 0;
};

// x_j = x0 * x0_hat + e * e_hat.
struct StepCoefficients {
  double x0 = 1;
  double e = 0;
};

struct Schedule {
  ScheduleKind kind = ScheduleKind::cosine;
  int T = 0;
  // alpha_bar[t] for t in 0 ... T: 1 at t = 0, then the running product of alpha = 1 - beta, every
  // beta at most 0.999, so that it falls strictly and never reaches zero.
  std::vector<double> alpha_bar;

  // sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t). These and the functions below throw Error unless
  // 0 <= t <= T.
  double sqrt_alpha_bar(int t) const;
  double sqrt_one_minus(int t) const;

  // Forward process: x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) epsilon.
  ForwardCoefficients forward(int t) const;
  // Since epsilon = x0 + e, x_k = (sqrt(alpha_bar_k) + sqrt(1 - alpha_bar_k)) x0
  //                             + sqrt(1 - alpha_bar_k) e,
  // and this solves it for x0. The denominator is at least 1.
  X0Coefficients predict_x0(int k) const;
  // The same equation at timestep j, which takes the estimates to x_j. At j = 0 it is x0_hat.
  StepCoefficients step_to(int j) const;
};

// Throws Error unless T >= 1.
Schedule make_schedule(ScheduleKind kind, int T);

// The timesteps of inference, evenly spaced and rounded to integers: K + 1 of them,
// T = tau_K > ... > tau_0 = 0. Throws Error unless 1 <= K <= T.
std::vector<int> ddim_steps(int T, int K);

}  // namespace posetape::diffusion
