// Diffusion of any data towards standard normal noise: what a network is trained on, and how it
// samples. Of the network nothing is known but that it takes x_t [B, ...] and timesteps [B].
//
//   const GaussianDiffusion diffusion({.T = 1000, .prediction = Prediction::v}, DType::f32);
//   ...
//   const auto e = diffusion.example(x0, seed, step);
//   gradients(net, [&] { return diffusion.loss(net(e.x, e.t), e); });
//   ...
//   const Tensor x = diffusion.sample(net, {count, 2}, {.steps = 50}, seed);
//
// The forward process is x_t = a x0 + s epsilon, a = sqrt(alpha_bar_t), s = sqrt(1 - alpha_bar_t),
// t = 1 ... T (Ho et al., "Denoising Diffusion Probabilistic Models", arXiv 2006.11239, equation
// 4). Its schedule is that of diffusion/schedule.hpp; D3PRefiner, whose noise is a pose, has other
// coefficients (diffusion/refiner.hpp). Moving averages of the weights, with which one samples, are
// Ema and Averaged (engine/ema.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "diffusion/schedule.hpp"
#include "engine/tensor.hpp"

namespace posetape::diffusion {

// What the network says of x_t.
enum class Prediction {
  x0,     // the data
  noise,  // epsilon (Ho et al., section 3.2)
  v,      // a epsilon - s x0 (Salimans and Ho, arXiv 2202.00512, appendix D)
};
constexpr auto choices(Prediction) {
  using enum Prediction;
  return make_choices<Prediction>("prediction", {{x0, "x0", "the data"},
                                                 {noise, "noise", "the noise in x_t"},
                                                 {v, "v", "the velocity of x_t"}});
}

// How much each timestep counts. The loss is w(t) |x0 - x0_hat|^2 whatever the network predicts;
// SNR is the signal-to-noise ratio alpha_bar_t / (1 - alpha_bar_t).
enum class Weighting {
  plain,    // the mean square of what is predicted: w = 1 of x0, SNR of the noise, SNR + 1 of v
  uniform,  // w = 1
  snr,      // w = SNR: Ho et al., equation 14
  truncated_snr,  // w = max(SNR, 1): Salimans and Ho, section 4
  snr_plus_one,   // w = SNR + 1: the same
  min_snr,        // w = min(SNR, 5): Hang et al., arXiv 2303.09556
};
constexpr auto choices(Weighting) {
  using enum Weighting;
  return make_choices<Weighting>("loss weighting", {{plain, "plain", "as what is predicted"},
                                                    {uniform, "uniform", "1"},
                                                    {snr, "snr", "the signal-to-noise ratio"},
                                                    {truncated_snr, "truncated-snr", "max(SNR, 1)"},
                                                    {snr_plus_one, "snr-plus-one", "SNR + 1"},
                                                    {min_snr, "min-snr", "min(SNR, 5)"}});
}

enum class Sampler {
  ddim,        // Song et al., arXiv 2010.02502, with eta from 0 (no noise of its own) to 1
  ddpm,        // the posterior of x_s given x_t and x0: Ho et al., algorithm 2; DDIM with eta = 1
  ddpm_large,  // its mean with the forward step's variance: sigma^2 = beta_t there, section 3.2
};
constexpr auto choices(Sampler) {
  using enum Sampler;
  return make_choices<Sampler>("sampler",
                               {{ddim, "ddim", "eta from 0 to 1"},
                                {ddpm, "ddpm", "the posterior's variance"},
                                {ddpm_large, "ddpm-large", "the forward step's variance"}});
}

// ---- Coefficients, in f64. All throw Error unless their timesteps are within the schedule. ----

// alpha_bar_t / (1 - alpha_bar_t), 1 <= t.
double signal_to_noise(const Schedule& schedule, int t);

// The factor of |target - prediction|^2 that makes it w(t) |x0 - x0_hat|^2.
double loss_weight(Weighting weighting, Prediction prediction, double snr);

// One prediction from another and x_t: value' = x * x_t + value * value.
struct Conversion {
  double x = 0;
  double value = 1;
};
Conversion conversion(const Schedule& schedule, Prediction from, Prediction to, int t);

// From x_t to x_s at an earlier s: x_s = x0 * x0_hat + x * x_t + noise * z, z standard normal.
struct Move {
  double x0 = 1;
  double x = 0;
  double noise = 0;
};
// With beta = 1 - alpha_bar_t / alpha_bar_s (Ho et al., equations 6 and 7, where s = t - 1),
//   x0 = sqrt(alpha_bar_s) beta / (1 - alpha_bar_t),
//   x = sqrt(1 - beta) (1 - alpha_bar_s) / (1 - alpha_bar_t),
//   noise^2 = (1 - alpha_bar_s) / (1 - alpha_bar_t) beta.
Move ddpm_move(const Schedule& schedule, int t, int s);
// With epsilon = (x_t - sqrt(alpha_bar_t) x0) / sqrt(1 - alpha_bar_t) and eta times the noise above
// (Song et al., equations 12 and 16),
//   x_s = sqrt(alpha_bar_s) x0 + sqrt(1 - alpha_bar_s - noise^2) epsilon + noise z.
// Throws Error unless 0 <= eta <= 1.
Move ddim_move(const Schedule& schedule, int t, int s, double eta);

// ---- Networks ----

// x_t [B, ...] and t i32 [B] -> what is predicted, in x_t's shape and type.
using Denoise = std::function<Tensor(const Tensor& x, const Tensor& t)>;
// The same for classes i32 [B].
using DenoiseClass = std::function<Tensor(const Tensor& x, const Tensor& t, const Tensor& classes)>;

// Classifier-free guidance (Ho and Salimans, arXiv 2207.12598, equation 6):
// (1 + weight) given - weight free, of a prediction that was told the class and one that was not.
// Weight 0 is the class as it was learned, -1 none, and what is above 0 more of what makes the
// class. It is the same whichever prediction it is made of.
Tensor guided(const Tensor& given, const Tensor& free, double weight);
// A network with its classes [B], guided; `no_class` is the class that stands for none. Where the
// weight is 0 it asks the network once, else twice.
Denoise guide(DenoiseClass network, const Tensor& classes, int no_class, double weight);
// What such a network is trained with: each class is `no_class` with probability `rate`, by (seed,
// Stream::augment, step). i32 [B] on the CPU.
Tensor drop_classes(const Tensor& classes, int no_class, double rate, std::uint64_t seed,
                    std::uint64_t step);

// ---- The diffusion ----

struct GaussianConfig {
  ScheduleKind schedule = ScheduleKind::cosine;
  int T = 1000;
  Prediction prediction = Prediction::noise;
  Weighting weighting = Weighting::plain;
};

struct SampleOptions {
  int steps = 50;  // moves, at timesteps that ddim_steps() chooses
  Sampler sampler = Sampler::ddim;
  double eta = 0;  // of DDIM
  // The largest value that data have, or 0: every estimate of x0 is cut off there. Near T little of
  // x0 is left in x_t, and an error of the noise would be multiplied up.
  double clip = 0;
};

class GaussianDiffusion {
 public:
  // Data are of `dtype` and lie on `device`.
  GaussianDiffusion(const GaussianConfig& config, DType dtype, Device device = Device::cpu);

  const GaussianConfig& config() const { return config_; }
  const Schedule& schedule() const { return schedule_; }

  // Below, x0, noise, x and what a network says are [B, ...] of one shape, t is i32 [B], 1 to T
  // (else Error on the CPU, NaN elsewhere). All can be differentiated.

  Tensor noised(const Tensor& x0, const Tensor& noise, const Tensor& t) const;
  // What the network should say.
  Tensor target(const Tensor& x0, const Tensor& noise, const Tensor& t) const;
  // What it said of x, as another prediction.
  Tensor as(Prediction wanted, const Tensor& said, const Tensor& x, const Tensor& t) const;

  // A training step's, its timesteps drawn evenly from 1 to T by (seed, Stream::timestep, step),
  // its noise by (seed, Stream::noise, step).
  struct Example {
    Tensor x;       // x_t
    Tensor t;       // i32 [B]
    Tensor target;  // what the network should say of them
  };
  Example example(const Tensor& x0, std::uint64_t seed, std::uint64_t step) const;
  // The mean over all elements of weight (said - target)^2.
  Tensor loss(const Tensor& said, const Example& example) const;

  // From noise to data: x_T is drawn by (seed, Stream::noise, 0), the noise of the i-th move by
  // (seed, Stream::noise, i). Taps, under "step.1." and so on: the state "x_t", its "t", and the
  // estimate "x0".
  Tensor sample(const Denoise& network, const Shape& shape, const SampleOptions& options,
                std::uint64_t seed) const;
  // The same from an x_T that is given.
  Tensor sample(const Denoise& network, const Tensor& x, const SampleOptions& options,
                std::uint64_t seed) const;

 private:
  // Of every t = 0 ... T, [T + 1, 1] each.
  struct Table {
    Tensor first, second;
  };
  Tensor at(const Tensor& table, const Tensor& t) const;
  Tensor combined(const Table& table, const Tensor& t, const Tensor& x, const Tensor& y) const;
  Move move(const SampleOptions& options, int t, int s) const;

  GaussianConfig config_;
  Schedule schedule_;
  DType dtype_;
  Device device_;
  Table forward_;                   // of x0 and noise
  Table target_;                    // the same
  std::array<Table, 3> converted_;  // of x and what was said, by what is wanted
  Tensor root_weight_;              // of the loss
};

}  // namespace posetape::diffusion
