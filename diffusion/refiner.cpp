#include "diffusion/refiner.hpp"

#include <cmath>

#include "engine/choices_json.hpp"
#include "engine/ops.hpp"
#include "engine/rng.hpp"
#include "engine/taps.hpp"
#include "model/checkpoint.hpp"

namespace posetape::diffusion {
namespace {

constexpr Index kJoints = 17;
constexpr Index kErrorWidth = 3 * kJoints;

// Calls f(key, value) for each member, in the order of the JSON.
template <class Config, class F>
void each_field(Config& c, const F& f) {
  f("width", c.network.width);
  f("depth", c.network.depth);
  f("heads", c.network.heads);
  f("mlp_ratio", c.network.mlp_ratio);
  f("frames", c.frames);
  f("steps", c.steps);
  f("schedule", c.schedule);
  f("noise", c.noise);
  f("error_source", c.source);
  f("objective", c.objective);
  f("states", c.states);
  f("rollout_steps", c.rollout_steps);
  f("normalization", c.normalization);
  f("loss", c.loss);
}

// 1 where the network is given the confidence of each joint; absent otherwise.
constexpr const char* kConfidence = "confidence";
constexpr const char* kAcceleration = "acceleration_weight";

Tensor per_joint(const std::vector<double>& values, DType dtype, Device device) {
  return Tensor::of({kJoints, 3}, std::span<const double>(values), dtype, device);
}

Tensor column(const std::vector<double>& values, DType dtype) {
  return Tensor::of({static_cast<Index>(values.size())}, std::span<const double>(values), dtype);
}

// p x + q y, with the same p and q [1] for every sequence.
Tensor combine(const Tensor& p, const Tensor& x, const Tensor& q, const Tensor& y) {
  const Shape all{1, x.size()};
  return reshape(blend(p, reshape(x, all), q, reshape(y, all)), x.shape());
}
Tensor combine(double p, const Tensor& x, double q, const Tensor& y) {
  const auto one = [&](double value) { return Tensor::full({1}, value, x.dtype(), x.device()); };
  return combine(one(p), x, one(q), y);
}

// Of Prepared::inputs.
enum Input { kTruth, kNoisy, kScreen, kTimestep, kIsReal, kAddress };

std::vector<double> reciprocal(std::vector<double> values) {
  for (double& v : values) v = 1 / v;
  return values;
}

// "eps" = x_hat + error.
void show_noise_end(const Tensor& x0, const Tensor& error) {
  show("eps", x0.shape(), [&] {
    std::vector<double> eps = x0.to_doubles();
    const std::vector<double> e = error.to_doubles();
    for (std::size_t i = 0; i < eps.size(); ++i) eps[i] += e[i];
    return eps;
  });
}

// The state as large as a person: what x_hat were if there was no error.
void show_scaled(const Tensor& x, double factor) {
  show("x_k_scaled", x.shape(), [&] {
    std::vector<double> values = x.to_doubles();
    for (double& v : values) v *= factor;
    return values;
  });
}

void check_scale(const ErrorScale& scale) {
  if (scale.shift.size() != kErrorWidth || scale.scale.size() != kErrorWidth) {
    fail("error scale: {} shifts and {} scales, expected {} of each", scale.shift.size(),
         scale.scale.size(), kErrorWidth);
  }
  for (const double s : scale.scale) {
    if (!(s > 0) || !std::isfinite(s)) fail("error scale: {} is not a positive number", s);
  }
}

constexpr const char* kKind = "refiner";
constexpr const char* kNetwork = "network.";  // before its parameters' names

}  // namespace

std::string to_json(const RefinerConfig& config) {
  nlohmann::ordered_json json;
  each_field(config, [&](const char* key, const auto& value) { json[key] = value; });
  if (config.network.screen == 3) json[kConfidence] = 1;
  if (config.acceleration_weight > 0) json[kAcceleration] = config.acceleration_weight;
  return json.dump();
}

RefinerConfig parse_refiner_config(std::string_view text, std::string_view source) {
  try {
    const auto json = nlohmann::json::parse(text);
    RefinerConfig config;
    each_field(config, [&](const char* key, auto& value) { json.at(key).get_to(value); });
    config.network.timestep = config.objective == Objective::diffusion;
    config.network.screen = json.value(kConfidence, 0) == 0 ? 2 : 3;
    config.acceleration_weight = json.value(kAcceleration, 0.0);
    return config;
  } catch (const std::exception& error) {
    fail("{}: the refiner's configuration is not readable ({}); was it written by another version?",
         source, error.what());
  }
}

ErrorScale fit_error_scale(Normalization kind, double mean_abs, const std::vector<double>& mean,
                           const std::vector<double>& variance) {
  if (kind == Normalization::mean_abs) {
    return {std::vector<double>(kErrorWidth, 0.0), std::vector<double>(kErrorWidth, mean_abs)};
  }
  ErrorScale scale{mean, {}};
  for (const double v : variance) {
    // A coordinate that never errs (the root joint) keeps its zero at any scale.
    scale.scale.push_back(v > 1e-12 ? std::sqrt(v) : 1.0);
  }
  return scale;
}

Refiner::Refiner(const RefinerConfig& config, ConditionalNoise noise, ErrorScale scale, DType dtype,
                 std::uint64_t seed, Device device)
    : config_(config),
      schedule_(make_schedule(config.schedule, config.steps)),
      noise_(std::move(noise)),
      sampler_(noise_, accumulator_of(dtype), device),
      scale_(std::move(scale)),
      network_(config.network, dtype, seed, device) {
  check_scale(scale_);
  if (config.network.timestep != (config.objective == Objective::diffusion)) {
    fail(
        "refiner: network.timestep is {} with objective {}; a diffusion's network has a timestep, "
        "a regression's has none",
        config.network.timestep, name(config.objective));
  }
  if (config.states == States::rollout) ddim_steps(config.steps, config.rollout_steps);
  const DType poses = accumulator_of(dtype);
  error_shift_ = per_joint(scale_.shift, poses, device);
  error_scale_ = per_joint(scale_.scale, poses, device);
  inverse_scale_ = per_joint(reciprocal(scale_.scale), poses, device);
  const Tensor not_root = Tensor::full({kJoints, 1}, 1.0, poses);
  fill(not_root.alias({1}), 0.0);
  not_root_ = not_root.to(device);

  std::vector<int> t;
  std::vector<double> clean;
  std::vector<double> noised;
  std::vector<double> moves;
  for (int k = 0; k <= config.steps; ++k) {
    t.push_back(k);
    clean.push_back(schedule_.forward(k).x0);
    noised.push_back(schedule_.forward(k).noise);
    const X0Coefficients x0 = schedule_.predict_x0(k);
    const StepCoefficients to = schedule_.step_to(k);
    moves.insert(moves.end(), {x0.x, x0.e, to.x0, to.e});
  }
  const Shape rows{config.steps + 1, 1};
  embeddings_ = cast(model::sinusoidal_embedding(t, config.network.width, poses), dtype).to(device);
  clean_ = column(clean, poses).alias(rows).to(device);
  noised_ = column(noised, poses).alias(rows).to(device);
  moves_ = column(moves, poses).to(device);
}

Tensor Refiner::normalized(const Tensor& error) const {
  return mul(sub(error, error_shift_), inverse_scale_);
}

Tensor Refiner::error_of(const Tensor& features) const {
  return add(mul(network_.estimate(features), error_scale_), error_shift_);
}

Tensor Refiner::embedding(int k, Index count) const {
  if (!config_.network.timestep) return {};
  const Index width = config_.network.width;
  return broadcast_to(embeddings_.alias({1, width}, k * width), {count, width});
}

Tensor Refiner::move(Move which, int k) const {
  constexpr Index kMoves = 4;
  return moves_.alias({1}, kMoves * k + static_cast<Index>(which));
}

Tensor Refiner::noise_condition(const Tensor& noisy, const Tensor& y) const {
  const Index batch = noisy.shape()[0];
  const Index frames = noisy.shape()[1];
  const Tensor screen = y.shape()[3] == 2 ? y : slice(y, 3, 0, 2);
  return concat(
      {reshape(screen, {batch, frames, 2 * kJoints}), reshape(noisy, {batch, frames, kErrorWidth})},
      -1);
}

Refiner::Prepared Refiner::prepare(const RefinerBatch& batch, std::uint64_t seed,
                                   std::uint64_t step) const {
  const auto count = static_cast<std::size_t>(batch.truth.shape()[0]);
  Random random(seed, Stream::timestep, step);
  Prepared prepared;
  std::vector<std::int32_t> t(count, 0);
  std::vector<double> is_real(count, 0);
  if (config_.objective == Objective::diffusion && config_.states == States::forward) {
    for (std::int32_t& k : t) {
      k = 1 + static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(config_.steps)));
    }
    if (config_.source == ErrorSource::mixed) {
      for (double& real : is_real) real = random.below(2);
    }
  } else if (config_.objective == Objective::diffusion) {
    prepared.moves =
        static_cast<int>(random.below(static_cast<std::uint32_t>(config_.rollout_steps)));
  }
  std::vector<double> address;
  for (std::size_t i = 0; i < count; ++i) {
    address.insert(address.end(), {static_cast<double>(step), static_cast<double>(i)});
  }
  prepared.inputs = {batch.truth,
                     batch.noisy,
                     batch.y,
                     Tensor::of<std::int32_t>({static_cast<Index>(count)}, t),
                     column(is_real, batch.truth.dtype()),
                     Tensor::of<double>({static_cast<Index>(count), 2}, address)};
  return prepared;
}

Refiner::Example Refiner::forward_example(std::span<const Tensor> in, std::uint64_t seed) const {
  const Tensor& truth = in[kTruth];
  const Tensor& t = in[kTimestep];
  const Shape count{truth.shape()[0]};
  Example example;
  show("t", t);
  example.embedding = gather(embeddings_, t);
  const bool none_real = config_.source == ErrorSource::conditional;
  const Tensor real = none_real ? Tensor() : sub(in[kNoisy], truth);
  example.error = real;
  if (config_.source != ErrorSource::real) {
    const Tensor drawn = sampler_.sample(noise_condition(in[kNoisy], in[kScreen]), config_.noise,
                                         seed, in[kAddress]);
    example.error = mul(reshape(drawn, truth.shape()), not_root_);
  }
  if (config_.source == ErrorSource::mixed) {
    const Tensor is_drawn = scale(in[kIsReal], -1, 1);
    example.error = blend(is_drawn, example.error, in[kIsReal], real);
  }
  example.x = blend(reshape(gather(clean_, t), count), truth, reshape(gather(noised_, t), count),
                    add(truth, example.error));
  return example;
}

Refiner::Example Refiner::rollout_example(const RefinerBatch& batch, int moves) const {
  const std::vector<int> tau = ddim_steps(config_.steps, config_.rollout_steps);
  if (moves < 0 || moves >= config_.rollout_steps) {
    fail("refiner: {} moves before the state of a rollout of {} steps; 0 to {} are possible", moves,
         config_.rollout_steps, config_.rollout_steps - 1);
  }
  const NoRecording off;
  Tensor x = batch.noisy;
  for (int i = 0; i < moves; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Scope scope("step", i + 1);
    x = move_to(denoise(x, batch.y, tau[at]), tau[at + 1]);
  }
  // The e that solves x_k = (sqrt(alpha_bar) + sqrt(1 - alpha_bar)) x0 + sqrt(1 - alpha_bar) e.
  const int k = tau[static_cast<std::size_t>(moves)];
  show("t", k);
  const X0Coefficients c = schedule_.predict_x0(k);
  return {x, embedding(k, x.shape()[0]), combine(1 / c.e, batch.truth, -c.x / c.e, x)};
}

Tensor Refiner::loss(std::span<const Tensor> in, int moves, std::uint64_t seed) const {
  const Scope scope("train");
  parameters().tap();
  Example example;
  if (config_.objective == Objective::regression) {
    example = {in[kNoisy], embedding(0, in[kNoisy].shape()[0]), sub(in[kNoisy], in[kTruth])};
  } else if (config_.states == States::forward) {
    example = forward_example(in, seed);
  } else {
    example = rollout_example({in[kTruth], in[kNoisy], in[kScreen]}, moves);
  }
  example.x = tap("x_t", std::move(example.x));
  example.error = tap("error", std::move(example.error));
  const Tensor estimate = tap("estimate", network_(example.x, in[kScreen], example.embedding));
  const Tensor target = tap("target", normalized(example.error));
  Tensor loss = config_.loss == LossKind::l2 ? joint_distance_loss(estimate, target)
                                             : mse_loss(estimate, target);
  if (config_.acceleration_weight > 0) {
    loss =
        add(loss, scale(model::acceleration_loss(estimate, target), config_.acceleration_weight));
  }
  return tap("loss", std::move(loss));
}

Tensor Refiner::loss(const RefinerBatch& batch, std::uint64_t seed, std::uint64_t step) const {
  Prepared prepared = prepare(batch, seed, step);
  for (Tensor& x : prepared.inputs) x = x.to(parameters().device());
  return loss(prepared.inputs, prepared.moves, seed);
}

Refiner::Step Refiner::denoise(const Tensor& state, const Tensor& y, int k) const {
  const X0Coefficients c = schedule_.predict_x0(k);
  show("t", k);
  const Tensor x = tap("x_k", state);
  show_scaled(x, c.x);
  Step step;
  step.features = network_.features(x, y, embedding(k, x.shape()[0]));
  step.error = tap("error", error_of(step.features));
  step.x0 =
      tap("x_hat", combine(move(Move::x_to_x0, k), x, move(Move::error_to_x0, k), step.error));
  show_noise_end(step.x0, step.error);
  return step;
}

Tensor Refiner::move_to(const Step& step, int j) const {
  return combine(move(Move::x0_to_x, j), step.x0, move(Move::error_to_x, j), step.error);
}

Tensor Refiner::refine(const Tensor& noisy, const Tensor& y, int steps) const {
  return refine_to(noisy, y, steps).poses;
}

Refiner::Refined Refiner::refine_to(const Tensor& noisy, const Tensor& y, int steps) const {
  if (config_.objective == Objective::regression) {
    const auto only_step = [&] {
      const Scope scope("step", 1);
      show("t", 0);
      const Tensor x = tap("x_k", noisy);
      show_scaled(x, 1);
      Step step;
      step.features = network_.features(x, y, embedding(0, x.shape()[0]));
      step.error = tap("error", error_of(step.features));
      step.x0 = tap("x_hat", mul(sub(x, step.error), not_root_));
      show_noise_end(step.x0, step.error);
      return step;
    };
    const Step step = only_step();
    return {tap("refined", step.x0), step.features, {}};
  }
  const std::vector<int> tau = ddim_steps(config_.steps, steps);
  Tensor x = noisy;
  Tensor features;
  for (std::size_t i = 0; i + 1 < tau.size(); ++i) {
    const Scope scope("step", static_cast<Index>(i + 1));
    const Step step = denoise(x, y, tau[i]);
    x = move_to(step, tau[i + 1]);
    features = step.features;
  }
  return {tap("refined", mul(x, not_root_)), features, {}};
}

Refiner::Refined Refiner::refine_surely(const Tensor& noisy, const Tensor& y, int steps) const {
  Refined refined = refine_to(noisy, y, steps);
  if (uncertainty_) refined.log_std = tap("log_std", uncertainty_->log_std(refined.features));
  return refined;
}

Tensor Refiner::error_at(const Tensor& x, const Tensor& y, const Tensor& t) const {
  if (!config_.network.timestep) fail("refiner: a regression has no timestep, and one step alone");
  return error_of(network_.features(x, y, gather(embeddings_, t)));
}

Tensor Refiner::linear_correction(const Tensor& noisy, const Tensor& y) const {
  const Tensor mean = sampler_.mean(noise_condition(noisy, y));
  return mul(sub(noisy, reshape(mean, noisy.shape())), not_root_);
}

Tensor Refiner::bias_correction(const Tensor& noisy) const {
  return mul(sub(noisy, reshape(sampler_.mu_a(), {kJoints, 3})), not_root_);
}

void Refiner::save(TensorFile& file) const {
  file.metadata["format"] = model::format_of(kKind);
  file.metadata["config"] = to_json(config_);
  model::save_parameters(parameters(), kNetwork, file);
  file.tensors.emplace_back("error.shift", Tensor::of<double>({kErrorWidth}, scale_.shift));
  file.tensors.emplace_back("error.scale", Tensor::of<double>({kErrorWidth}, scale_.scale));
  noise_.save(file);
  if (uncertainty_) uncertainty_->save(file);
}

Refiner Refiner::load(const TensorFile& file, const std::string& path, DType dtype, Device device) {
  model::check_format(file, path, kKind);
  const auto config = file.metadata.find("config");
  if (config == file.metadata.end()) fail("{}: the refiner's configuration is missing", path);
  file.check_finite(path);
  const RefinerConfig parsed = parse_refiner_config(config->second, path);
  const model::PoseDenoiserConfig& n = parsed.network;
  model::check_claims({&model::pose_denoiser_network,
                       parsed.frames,
                       {n.width, n.depth, n.heads, n.mlp_ratio, n.screen - 2}},
                      file);
  const auto vector_of = [&](const char* key) { return file.at(key).to_doubles(); };
  Refiner refiner(parsed, ConditionalNoise::load(file),
                  {vector_of("error.shift"), vector_of("error.scale")}, dtype, 0, device);
  model::load_parameters(refiner.parameters(), kNetwork, file, path);
  if (Uncertainty::is_in(file)) {
    refiner.set_uncertainty(Uncertainty::load(file, path, n.width, device));
  }
  return refiner;
}

}  // namespace posetape::diffusion
