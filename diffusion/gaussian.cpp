#include "diffusion/gaussian.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/ops.hpp"
#include "engine/random_fill.hpp"
#include "engine/rng.hpp"
#include "engine/taps.hpp"

namespace posetape::diffusion {
namespace {

double alpha_bar(const Schedule& schedule, int t, int least) {
  if (t < least || t > schedule.T) {
    fail("timestep {} is outside {} ... T = {}", t, least, schedule.T);
  }
  return schedule.alpha_bar[static_cast<std::size_t>(t)];
}

// How many times |x0 - x0_hat|^2 the square of a prediction's own error is.
double own_weight(Prediction prediction, double snr) {
  switch (prediction) {
    case Prediction::x0:
      return 1;
    case Prediction::noise:
      return snr;
    default:
      return snr + 1;
  }
}

void check_earlier(int t, int s) {
  if (s >= t) fail("a move from timestep {} to {}; it has to be an earlier one", t, s);
}

// The values of f at t = 1 ... T. Timestep 0 has no noise that a network could be asked for.
template <class F>
Tensor tabled(int T, DType dtype, Device device, const F& f) {
  std::vector<double> values{std::numeric_limits<double>::quiet_NaN()};
  for (int t = 1; t <= T; ++t) values.push_back(f(t));
  return Tensor::of({T + 1, 1}, values, dtype, device);
}

}  // namespace

double signal_to_noise(const Schedule& schedule, int t) {
  const double signal = alpha_bar(schedule, t, 1);
  return signal / (1 - signal);
}

double loss_weight(Weighting weighting, Prediction prediction, double snr) {
  const double own = own_weight(prediction, snr);
  switch (weighting) {
    case Weighting::uniform:
      return 1 / own;
    case Weighting::snr:
      return snr / own;
    case Weighting::truncated_snr:
      return std::max(snr, 1.0) / own;
    case Weighting::snr_plus_one:
      return (snr + 1) / own;
    case Weighting::min_snr:
      return std::min(snr, 5.0) / own;
    default:
      return 1;
  }
}

Conversion conversion(const Schedule& schedule, Prediction from, Prediction to, int t) {
  const double a = std::sqrt(alpha_bar(schedule, t, 1));
  const double s = std::sqrt(1 - alpha_bar(schedule, t, 1));
  if (from == to) return {0, 1};
  // x0 = x x_t + value.
  Conversion x0{0, 1};
  if (from == Prediction::noise) x0 = {1 / a, -s / a};
  if (from == Prediction::v) x0 = {a, -s};
  switch (to) {
    case Prediction::noise:
      return {(1 - a * x0.x) / s, -a * x0.value / s};
    case Prediction::v:
      return {(a - x0.x) / s, -x0.value / s};
    default:
      return x0;
  }
}

Move ddpm_move(const Schedule& schedule, int t, int s) {
  check_earlier(t, s);
  const double at = alpha_bar(schedule, t, 1);
  const double as = alpha_bar(schedule, s, 0);
  const double beta = 1 - at / as;
  return {std::sqrt(as) * beta / (1 - at), std::sqrt(at / as) * (1 - as) / (1 - at),
          std::sqrt((1 - as) / (1 - at) * beta)};
}

Move ddim_move(const Schedule& schedule, int t, int s, double eta) {
  if (!(eta >= 0 && eta <= 1)) fail("DDIM: eta is {}; choose 0 to 1", eta);
  const double noise = eta * ddpm_move(schedule, t, s).noise;
  const double at = alpha_bar(schedule, t, 1);
  const double as = alpha_bar(schedule, s, 0);
  const double x = std::sqrt((1 - as - noise * noise) / (1 - at));
  return {std::sqrt(as) - std::sqrt(at) * x, x, noise};
}

Tensor guided(const Tensor& given, const Tensor& free, double weight) {
  return add(scale(given, 1 + weight), scale(free, -weight));
}

Denoise guide(DenoiseClass network, const Tensor& classes, int no_class, double weight) {
  const std::vector<std::int32_t> none(static_cast<std::size_t>(classes.size()), no_class);
  const Tensor free = Tensor::of<std::int32_t>(classes.shape(), none).to(classes.device());
  return [network = std::move(network), classes, free, weight](const Tensor& x, const Tensor& t) {
    const Tensor given = network(x, t, classes);
    return weight == 0 ? given : guided(given, network(x, t, free), weight);
  };
}

Tensor drop_classes(const Tensor& classes, int no_class, double rate, std::uint64_t seed,
                    std::uint64_t step) {
  if (!(rate >= 0 && rate <= 1)) fail("classes are dropped at a rate of {}; choose 0 to 1", rate);
  Random random(seed, Stream::augment, step);
  const std::span<const std::int32_t> all = classes.values<std::int32_t>();
  std::vector<std::int32_t> kept(all.begin(), all.end());
  for (std::int32_t& c : kept) {
    if (random.uniform() < rate) c = no_class;
  }
  return Tensor::of<std::int32_t>(classes.shape(), kept);
}

GaussianDiffusion::GaussianDiffusion(const GaussianConfig& config, DType dtype, Device device)
    : config_(config),
      schedule_(make_schedule(config.schedule, config.T)),
      dtype_(dtype),
      device_(device) {
  const auto table = [&](const auto& f) { return tabled(config.T, dtype, device, f); };
  forward_ = {table([&](int t) { return schedule_.sqrt_alpha_bar(t); }),
              table([&](int t) { return schedule_.sqrt_one_minus(t); })};
  // Of x0 and noise: v = a noise - s x0.
  target_ = {table([&](int t) { return -schedule_.sqrt_one_minus(t); }), forward_.first};
  for (const Prediction to : {Prediction::x0, Prediction::noise, Prediction::v}) {
    const auto c = [&](int t) { return conversion(schedule_, config.prediction, to, t); };
    converted_[static_cast<std::size_t>(to)] = {table([&](int t) { return c(t).x; }),
                                                table([&](int t) { return c(t).value; })};
  }
  if (config.weighting != Weighting::plain) {
    root_weight_ = table([&](int t) {
      return std::sqrt(
          loss_weight(config.weighting, config.prediction, signal_to_noise(schedule_, t)));
    });
  }
}

Tensor GaussianDiffusion::at(const Tensor& table, const Tensor& t) const {
  if (t.defined() && t.device() == Device::cpu) {
    for (const std::int32_t k : t.values<std::int32_t>()) alpha_bar(schedule_, k, 1);
  }
  return reshape(gather(table, t), {t.size()});
}

Tensor GaussianDiffusion::combined(const Table& table, const Tensor& t, const Tensor& x,
                                   const Tensor& y) const {
  return blend(at(table.first, t), x, at(table.second, t), y);
}

Tensor GaussianDiffusion::noised(const Tensor& x0, const Tensor& noise, const Tensor& t) const {
  return combined(forward_, t, x0, noise);
}

Tensor GaussianDiffusion::target(const Tensor& x0, const Tensor& noise, const Tensor& t) const {
  switch (config_.prediction) {
    case Prediction::x0:
      return x0;
    case Prediction::noise:
      return noise;
    default:
      return combined(target_, t, x0, noise);
  }
}

Tensor GaussianDiffusion::as(Prediction wanted, const Tensor& said, const Tensor& x,
                             const Tensor& t) const {
  if (wanted == config_.prediction) return said;
  return combined(converted_[static_cast<std::size_t>(wanted)], t, x, said);
}

GaussianDiffusion::Example GaussianDiffusion::example(const Tensor& x0, std::uint64_t seed,
                                                      std::uint64_t step) const {
  if (!x0.defined() || x0.shape().rank() < 1) fail("diffusion: x0 has to be [B, ...]");
  Random random(seed, Stream::timestep, step);
  std::vector<std::int32_t> drawn(static_cast<std::size_t>(x0.shape()[0]));
  for (std::int32_t& k : drawn) {
    k = 1 + static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(config_.T)));
  }
  const Tensor t = Tensor::of<std::int32_t>({x0.shape()[0]}, drawn).to(device_);
  const Tensor noise = Tensor::empty(x0.shape(), dtype_, device_);
  fill_normal(noise, seed, Stream::noise, step);
  return {noised(x0, noise, t), t, target(x0, noise, t)};
}

Tensor GaussianDiffusion::loss(const Tensor& said, const Example& example) const {
  if (!root_weight_.defined()) return mse_loss(said, example.target);
  Shape columns = said.shape();
  for (int i = 1; i < columns.rank(); ++i) columns = columns.with(i, 1);
  const Tensor w = reshape(at(root_weight_, example.t), columns);
  const Tensor error = mul(sub(said, example.target), w);
  return mse_loss(error, Tensor::zeros(error.shape(), error.dtype(), error.device()));
}

Move GaussianDiffusion::move(const SampleOptions& options, int t, int s) const {
  if (options.sampler == Sampler::ddim) return ddim_move(schedule_, t, s, options.eta);
  Move move = ddpm_move(schedule_, t, s);
  if (options.sampler == Sampler::ddpm_large && s > 0) {  // the last move has no noise
    move.noise = std::sqrt(1 - alpha_bar(schedule_, t, 1) / alpha_bar(schedule_, s, 0));
  }
  return move;
}

Tensor GaussianDiffusion::sample(const Denoise& network, const Shape& shape,
                                 const SampleOptions& options, std::uint64_t seed) const {
  const Tensor x = Tensor::empty(shape, dtype_, device_);
  fill_normal(x, seed, Stream::noise);
  return sample(network, x, options, seed);
}

Tensor GaussianDiffusion::sample(const Denoise& network, const Tensor& start,
                                 const SampleOptions& options, std::uint64_t seed) const {
  if (!start.defined() || start.shape().rank() < 1) fail("diffusion: x_T has to be [B, ...]");
  if (!(options.clip >= 0))
    fail("diffusion: clip is {}; choose 0, for none, or more", options.clip);
  const std::vector<int> tau = ddim_steps(config_.T, options.steps);
  const auto count = static_cast<std::size_t>(start.shape()[0]);
  Tensor x = start;
  for (std::size_t i = 0; i + 1 < tau.size(); ++i) {
    const Scope scope("step", static_cast<Index>(i + 1));
    const std::vector<std::int32_t> same(count, tau[i]);
    const Tensor t = Tensor::of<std::int32_t>({start.shape()[0]}, same).to(device_);
    x = tap("x_t", std::move(x));
    show("t", tau[i]);
    Tensor x0 = as(Prediction::x0, network(x, t), x, t);
    if (options.clip > 0) x0 = clamp(x0, -options.clip, options.clip);
    x0 = tap("x0", std::move(x0));
    const Move m = move(options, tau[i], tau[i + 1]);
    x = add(scale(x0, m.x0), scale(x, m.x));
    if (m.noise > 0) {
      const Tensor z = Tensor::empty(x.shape(), dtype_, device_);
      fill_normal(z, seed, Stream::noise, i + 1);
      x = add(x, scale(z, m.noise));
    }
  }
  return x;
}

}  // namespace posetape::diffusion
