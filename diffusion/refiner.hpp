// D3PRefiner: what the network is trained on, and how it refines (Yan et al., arXiv 2401.03914).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "diffusion/conditional_noise.hpp"
#include "diffusion/schedule.hpp"
#include "diffusion/uncertainty.hpp"
#include "engine/safetensors.hpp"
#include "model/pose_denoiser.hpp"

namespace posetape::diffusion {

// Where the error e of a training pair comes from.
enum class ErrorSource {
  conditional,  // drawn from the conditional noise distribution, as in the paper
  real,         // the base estimate's own error: the paper's ablation "without CND"
  mixed,        // one or the other, by chance, sequence by sequence
};
constexpr auto choices(ErrorSource) {
  using enum ErrorSource;
  return make_choices<ErrorSource>("error source",
                                   {{conditional, "conditional", "drawn"},
                                    {real, "real", "the base estimate's own, without CND"},
                                    {mixed, "mixed", "one or the other by chance"}});
}

// What the network learns.
enum class Objective {
  diffusion,   // the error from x_t, y and t
  regression,  // the error from x_noisy and y, no diffusion: the paper's ablation
};
constexpr auto choices(Objective) {
  using enum Objective;
  return make_choices<Objective>("objective",
                                 {{diffusion, "diffusion", "the error at any timestep"},
                                  {regression, "regression", "the error of the input alone"}});
}

// The x_t that the network is trained on.
enum class States {
  // x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) (x0 + e), t uniform: the paper.
  forward,
  // Those that DDIM visits: x_T = x_noisy, and at later steps what the network itself made of it,
  // computed without gradient. No state holds anything of the truth, as at inference. The error is
  // the estimator's own, and at each state the target is the one that leads to the truth.
  rollout,
};
constexpr auto choices(States) {
  using enum States;
  return make_choices<States>("states", {{forward, "forward", "the noised truth"},
                                         {rollout, "rollout", "what inference visits"}});
}

// How the error is normalised before the loss.
enum class Normalization {
  mean_abs,        // divided by the training mean of |e|, one number
  per_coordinate,  // minus mean, divided by standard deviation, each of the 51
};
constexpr auto choices(Normalization) {
  using enum Normalization;
  return make_choices<Normalization>(
      "normalization", {{mean_abs, "mean-abs", "one number"},
                        {per_coordinate, "per-coordinate", "mean and deviation of each"}});
}

enum class LossKind {
  l2,   // mean over joints and frames of the Euclidean norm
  mse,  // mean of squares
};
constexpr auto choices(LossKind) {
  using enum LossKind;
  return make_choices<LossKind>(
      "loss", {{l2, "l2", "mean distance of joints"}, {mse, "mse", "mean of squares"}});
}

struct RefinerConfig {
  model::PoseDenoiserConfig network;  // with a timestep for a diffusion, without for a regression
  int frames = 27;                    // N of the windows it is trained on
  int steps = 50;                     // T
  ScheduleKind schedule = ScheduleKind::cosine;
  NoiseKind noise = NoiseKind::independent;
  ErrorSource source = ErrorSource::conditional;
  Objective objective = Objective::diffusion;
  States states = States::forward;
  int rollout_steps = 2;  // K of the rollout
  Normalization normalization = Normalization::mean_abs;
  LossKind loss = LossKind::l2;
  // Of the mean distance of accelerations of the normalised error, which are those of x0 at a state
  // but for their unit.
  double acceleration_weight = 0;
};

// The config as JSON text, and back; parse throws Error that names `source` and what is wrong.
std::string to_json(const RefinerConfig& config);
RefinerConfig parse_refiner_config(std::string_view json, std::string_view source);

// The error's scale, fitted to training data: e_normalised = (e - shift) / scale, joint by joint.
struct ErrorScale {
  std::vector<double> shift;  // [51]
  std::vector<double> scale;  // [51], never zero
};
// From the moments of e: its mean |e| over all coordinates, its mean and variance of each.
ErrorScale fit_error_scale(Normalization kind, double mean_abs, const std::vector<double>& mean,
                           const std::vector<double>& variance);

// A batch of windows. All [B, N, 17, C] in metres and root-relative, y in screen coordinates.
struct RefinerBatch {
  Tensor truth;  // C = 3
  Tensor noisy;  // C = 3
  Tensor y;      // C = 2, or 3 with the confidence of each joint, as the network takes it
};

class Refiner {
 public:
  // `dtype` is the network's, poses are in the type that it computes in (f32 for bf16). Tensors
  // that the functions below take and give lie on `device`, and nothing comes from the host unless
  // they say so. Throws Error on a scale of another size or that is no positive number, on a
  // network with a timestep for a regression or without one for a diffusion, on T < 1, on a rollout
  // of no step or more than T, and on a noise that was not fitted.
  Refiner(const RefinerConfig& config, ConditionalNoise noise, ErrorScale scale, DType dtype,
          std::uint64_t seed, Device device = Device::cpu);

  // One training step's data and what is drawn for it by (seed, step), on the host.
  struct Prepared {
    // truth, noisy, y; t: i32 [B]; is_real [B], 1 where a mixed source takes the real error;
    // the step's number and that of the window in the batch, f64 [B, 2].
    std::vector<Tensor> inputs;
    int moves = 0;  // denoising steps before the state that a rollout trains on
  };
  Prepared prepare(const RefinerBatch& batch, std::uint64_t seed, std::uint64_t step) const;
  // The training loss. Taps, under "train.": the state "x_t" and its "t", the true "error"
  // (metres), "target" and "estimate" (normalised), "loss", every parameter by its name, the
  // network's own, and "step.<i>" of the moves before. `inputs` are Prepared's on the refiner's
  // device; noise is drawn by (seed, step).
  Tensor loss(std::span<const Tensor> inputs, int moves, std::uint64_t seed) const;
  // Both, of a batch on the host.
  Tensor loss(const RefinerBatch& batch, std::uint64_t seed, std::uint64_t step) const;

  // K denoising steps from x_T = noisy (K is ignored by a regression); the root joint is exactly
  // zero. Taps, under "step.1." to "step.K.": the timestep "t", the state "x_k", the same as large
  // as a person, "x_k_scaled" = x_k / (sqrt(alpha_bar_k) + sqrt(1 - alpha_bar_k)), the network's
  // estimates of the "error" and of the truth "x_hat", "eps" = x_hat + error, all in metres, and
  // the network's own.
  Tensor refine(const Tensor& noisy, const Tensor& y, int steps) const;
  // The same poses, the features [B, N, 17, D] of the network's last estimate, and where there is
  // a head the logarithm of each coordinate's standard deviation, [B, N, 17, 3].
  struct Refined {
    Tensor poses, features, log_std;
  };
  Refined refine_surely(const Tensor& noisy, const Tensor& y, int steps) const;

  // The network alone, for a sampler of one's own: its estimate of the error (metres) at states x
  // of timesteps t, i32 [B] from 0 to T. Throws Error for a regression, which has none.
  Tensor error_at(const Tensor& x, const Tensor& y, const Tensor& t) const;

  // The linear-Gaussian correction x_noisy - mu(y, x_noisy), no network: the control to beat.
  Tensor linear_correction(const Tensor& noisy, const Tensor& y) const;
  // x_noisy minus the training mean of the error: a constant for each joint.
  Tensor bias_correction(const Tensor& noisy) const;

  const RefinerConfig& config() const { return config_; }
  const ConditionalNoise& noise() const { return noise_; }
  const ErrorScale& error_scale() const { return scale_; }
  // How sure it is of its poses; null where it was never trained to know.
  const Uncertainty* uncertainty() const { return uncertainty_ ? &*uncertainty_ : nullptr; }
  void set_uncertainty(Uncertainty uncertainty) { uncertainty_ = std::move(uncertainty); }
  ParameterList& parameters() { return network_.parameters(); }
  const ParameterList& parameters() const { return network_.parameters(); }

  // Parameters, config and every constant that refine() needs.
  void save(TensorFile& file) const;
  static Refiner load(const TensorFile& file, const std::string& path, DType dtype = DType::f32,
                      Device device = Device::cpu);

 private:
  // What the network is asked, and what it should answer.
  struct Example {
    Tensor x;          // the state
    Tensor embedding;  // of its timestep [B, D]
    Tensor error;      // the error at this state, metres
  };
  Example forward_example(std::span<const Tensor> inputs, std::uint64_t seed) const;
  Example rollout_example(const RefinerBatch& batch, int moves) const;
  // What the network says at a state: its error and the truth, metres.
  struct Step {
    Tensor error;
    Tensor x0;
    Tensor features;
  };
  // The poses and features of refine_surely().
  Refined refine_to(const Tensor& noisy, const Tensor& y, int steps) const;
  // One DDIM step from x at timestep k to timestep j.
  Step denoise(const Tensor& state, const Tensor& y, int k) const;
  Tensor move_to(const Step& step, int j) const;
  Tensor error_of(const Tensor& features) const;  // metres
  // Row k of the embeddings, for every one of `count` sequences.
  Tensor embedding(int k, Index count) const;
  // Coefficients of DDIM's moves, [1], at timestep k.
  enum class Move { x_to_x0, error_to_x0, x0_to_x, error_to_x };
  Tensor move(Move which, int k) const;
  Tensor normalized(const Tensor& error) const;
  Tensor noise_condition(const Tensor& noisy, const Tensor& y) const;

  RefinerConfig config_;
  Schedule schedule_;
  ConditionalNoise noise_;
  NoiseSampler sampler_;
  ErrorScale scale_;
  model::PoseDenoiser network_;
  std::optional<Uncertainty> uncertainty_;
  // Tables over t = 0 ... T: sinusoidal embeddings [T + 1, D], the forward process's two
  // coefficients, [T + 1, 1] each, and those of the moves, [4 (T + 1)].
  Tensor embeddings_;
  Tensor clean_;
  Tensor noised_;
  Tensor moves_;
  Tensor error_shift_;    // [17, 3]
  Tensor error_scale_;    // [17, 3]
  Tensor inverse_scale_;  // [17, 3]
  Tensor not_root_;       // [17, 1], 0 at the root joint and 1 elsewhere
};

}  // namespace posetape::diffusion
