// What the refiner trains on and how it refines, against the formulas of the method
// (tests/diffusion/reference.hpp), by the values that it taps.
#include "diffusion/refiner.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>

#include "engine/gradcheck.hpp"
#include "engine/random_fill.hpp"
#include "engine/taps.hpp"
#include "kernels/base/philox.hpp"
#include "tests/diffusion/reference.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using reference::distance;
using reference::Numbers;

namespace {

constexpr Index kBatch = 3;
constexpr Index kFrames = 4;
constexpr Index kWindow = kFrames * 51;  // coordinates of one sequence
constexpr std::uint64_t kWeights = 11;   // the seed of the network
constexpr double kRounding = 1e-13;      // of poses of 1 m

Tensor tensor(Index channels, const Numbers& values) {
  return Tensor::of(
      {static_cast<Index>(values.size()) / (kFrames * 17 * channels), kFrames, 17, channels},
      std::span<const double>(values), DType::f64);
}

Numbers numbers(Index count, std::uint64_t seed, double scale) {
  return random_normal({count}, seed, scale).to_doubles();
}

Numbers poses(std::uint64_t seed) {
  return reference::without_root(numbers(kBatch * kWindow, seed, 0.4));
}

Numbers screen(std::uint64_t seed) {
  return numbers(kBatch * kFrames * 34, seed, 0.5);
}

Numbers sequence(const Numbers& all, Index b) {
  return {all.begin() + b * kWindow, all.begin() + (b + 1) * kWindow};
}

void append(Numbers& all, const Numbers& more) {
  all.insert(all.end(), more.begin(), more.end());
}

// A distribution that no data made: no two of its numbers are alike, and the root joint errs too.
ConditionalNoise some_distribution() {
  ConditionalNoise noise;
  noise.mu_a = random_normal({51}, 101, 0.03);
  noise.mu_b = random_normal({85}, 102, 0.3);
  noise.gain = random_normal({51, 85}, 103, 0.02);
  noise.factor = random_normal({51, 7}, 104, 0.02);
  noise.sigma = Tensor::zeros({51, 51}, DType::f64);
  noise.eigenvalues = Tensor::zeros({51}, DType::f64);
  noise.rho = 0.6;
  return noise;
}

// Shifts and scales that differ from joint to joint, the root's too.
ErrorScale some_scale() {
  ErrorScale scale{numbers(51, 105, 0.03), {}};
  for (const double x : numbers(51, 106, 0.5)) scale.scale.push_back(0.05 * std::exp(x));
  return scale;
}

RefinerConfig tiny() {
  RefinerConfig config;
  config.network = {8, 1, 2, 2, true};
  config.frames = static_cast<int>(kFrames);
  return config;
}

RefinerConfig regression() {
  RefinerConfig config = tiny();
  config.objective = Objective::regression;
  config.network.timestep = false;
  return config;
}

Refiner make(const RefinerConfig& config, DType dtype = DType::f64) {
  return Refiner(config, some_distribution(), some_scale(), dtype, kWeights);
}

Refiner reloaded(const Refiner& refiner) {
  TensorFile file;
  refiner.save(file);
  return Refiner::load(file, "memory", DType::f64);
}

// What the network of such a refiner says, asked by itself.
Numbers network(const RefinerConfig& config, const Numbers& x, const Numbers& y,
                const std::vector<int>& t) {
  return model::PoseDenoiser(config.network, DType::f64, kWeights)(tensor(3, x), tensor(2, y), t)
      .to_doubles();
}

const Numbers& tapped(const Taps& taps, const std::string& name) {
  return taps.at(name).values;
}

// The words that prepare() has for its draws, one after the other.
class Words {
 public:
  Words(std::uint64_t seed, std::uint64_t step) : seed_(seed), step_(step) {}
  // Uniform in 0 ... n - 1.
  int below(int n) {
    const std::uint32_t word =
        philox4x32(seed_, (std::uint64_t{3} << 48) + step_, at_ / 4)[at_ % 4];
    ++at_;
    return static_cast<int>(std::floor(word * 0x1p-32 * n));
  }

 private:
  std::uint64_t seed_;
  std::uint64_t step_;
  std::uint64_t at_ = 0;
};

// e = mu(y, x_noisy) + L n at every joint but the root, n from the noise's own stream.
Numbers drawn_error(const RefinerConfig& config, const Numbers& noisy, const Numbers& y,
                    std::uint64_t seed, std::uint64_t step) {
  const ConditionalNoise noise = some_distribution();
  const int frames = static_cast<int>(kBatch * kFrames);
  const int rank = static_cast<int>(noise.factor.shape()[1]);
  const Tensor w = Tensor::empty({frames, rank}, DType::f64);
  fill_normal(w, seed, Stream::noise, step);
  reference::Matrix n(frames, rank, w.to_doubles());
  if (config.noise == NoiseKind::ar1) n = reference::ar1(n, static_cast<int>(kFrames), noise.rho);

  const Numbers mu_a = noise.mu_a.to_doubles();
  const Numbers mu_b = noise.mu_b.to_doubles();
  const reference::Matrix gain(51, 85, noise.gain.to_doubles());
  const reference::Matrix factor(51, rank, noise.factor.to_doubles());
  Numbers e;
  for (int f = 0; f < frames; ++f) {
    Numbers b(y.begin() + f * 34, y.begin() + (f + 1) * 34);
    b.insert(b.end(), noisy.begin() + f * 51, noisy.begin() + (f + 1) * 51);
    for (int i = 0; i < 51; ++i) {
      double x = mu_a[static_cast<std::size_t>(i)];
      for (std::size_t j = 0; j < b.size(); ++j)
        x += gain(i, static_cast<int>(j)) * (b[j] - mu_b[j]);
      for (int j = 0; j < rank; ++j) x += factor(i, j) * n(f, j);
      e.push_back(x);
    }
  }
  return reference::without_root(e);
}

// The pose from which inference with the error e comes to the truth: x_T of the forward process.
Numbers start(const RefinerConfig& config, const Numbers& truth, const Numbers& e) {
  return reference::state(reference::alpha_bar(name(config.schedule), config.steps).back(), truth,
                          e);
}

// Weights with which the network is the linear map n = (y1, y2, y1 / 2 - y2 / 4 + 1 / 8), joint by
// joint, of the 2D pose: what each block adds is multiplied by zero, and the first channels carry
// the input to the output.
void make_oracle(Refiner& refiner) {
  const Index width = refiner.config().network.width;
  for (const auto& entry : refiner.parameters().entries()) {
    const std::string& name = entry.name;
    const auto is = [&](const char* part) { return name.find(part) != std::string::npos; };
    if (is(".proj.") || is(".fc2.") || is(".temb.") || is("input.") || is("output.")) {
      fill(entry.value, 0.0);
    }
    double* const w = entry.value.data<double>();
    if (name == "input.weight") {
      for (Index c = 0; c < 5; ++c) w[c * 5 + c] = 1;
    } else if (name == "output.weight") {
      w[0 * width + 3] = 1;
      w[1 * width + 4] = 1;
      w[2 * width + 3] = 0.5;
      w[2 * width + 4] = -0.25;
    } else if (name == "output.bias") {
      w[2] = 0.125;
    }
  }
}

// The true, denormalised error that such a network states. It errs at the root too, which no
// result may show.
Numbers oracle_error(const Numbers& y, const ErrorScale& scale) {
  Numbers n;
  for (std::size_t i = 0; i < y.size(); i += 2) {
    append(n, {y[i], y[i + 1], y[i] / 2 - y[i + 1] / 4 + 0.125});
  }
  return reference::denormalized(n, scale.shift, scale.scale);
}

// Both normalisations as training fits them, a mean error that is not zero included.
std::array<ErrorScale, 2> both_scales() {
  Numbers mean = numbers(51, 107, 0.02);
  Numbers variance;
  for (const double x : numbers(51, 108, 0.05)) variance.push_back(x * x);
  for (std::size_t i = 0; i < 3; ++i) mean[i] = variance[i] = 0;
  return {fit_error_scale(Normalization::mean_abs, 0.04, mean, variance),
          fit_error_scale(Normalization::per_coordinate, 0.04, mean, variance)};
}

}  // namespace

TEST_CASE("a network that knows the true error is refined to the truth") {
  const Numbers truth = poses(1);
  const Numbers y = screen(2);
  const std::array scales = both_scales();
  for (const Normalization normalization :
       {Normalization::mean_abs, Normalization::per_coordinate}) {
    for (const States states : {States::forward, States::rollout}) {
      for (const ScheduleKind schedule :
           {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::sigmoid}) {
        CAPTURE(name(normalization));
        CAPTURE(name(states));
        CAPTURE(name(schedule));
        RefinerConfig config = tiny();
        config.normalization = normalization;
        config.states = states;
        config.schedule = schedule;
        const ErrorScale& scale = scales[static_cast<std::size_t>(normalization)];
        Refiner refiner(config, some_distribution(), scale, DType::f64, kWeights);
        make_oracle(refiner);
        const Refiner loaded = reloaded(refiner);

        const Numbers e = reference::without_root(oracle_error(y, scale));
        const Tensor noisy = tensor(3, start(config, truth, e));
        for (const int K : {1, 2, 3, 5}) {
          CAPTURE(K);
          const Taps taps({"x_hat"});
          CHECK(distance(refiner.refine(noisy, tensor(2, y), K).to_doubles(), truth) < kRounding);
          REQUIRE(taps.captured().size() == static_cast<std::size_t>(K));
          for (const Taps::Captured& step : taps.captured()) {
            CHECK(distance(reference::without_root(step.values), truth) < kRounding);
          }
          CHECK(distance(loaded.refine(noisy, tensor(2, y), K).to_doubles(), truth) < kRounding);
        }
      }
    }
  }
}

TEST_CASE("a regression that knows the true error gives the truth, and has no loss") {
  const Numbers truth = poses(1);
  const Numbers y = screen(2);
  for (const ErrorScale& scale : both_scales()) {
    Refiner refiner(regression(), some_distribution(), scale, DType::f64, kWeights);
    make_oracle(refiner);
    const Numbers error = oracle_error(y, scale);
    const Tensor noisy = tensor(3, reference::combine(1, truth, 1, error));
    const Refiner loaded = reloaded(refiner);
    for (const Refiner* r : {&std::as_const(refiner), &loaded}) {
      CHECK(distance(r->refine(noisy, tensor(2, y), 2).to_doubles(), truth) < kRounding);
      CHECK(r->loss({tensor(3, truth), noisy, tensor(2, y)}, 1, 2).item() < 1e-12);
    }
  }
}

TEST_CASE("a network that knows the true error has no loss, at any state and by either measure") {
  const Numbers truth = poses(1);
  const Numbers y = screen(2);
  for (const ErrorScale& scale : both_scales()) {
    for (const LossKind loss : {LossKind::l2, LossKind::mse}) {
      RefinerConfig config = tiny();
      config.loss = loss;
      config.source = ErrorSource::real;
      Refiner forward(config, some_distribution(), scale, DType::f64, kWeights);
      make_oracle(forward);
      const Numbers e = oracle_error(y, scale);
      const RefinerBatch real{tensor(3, truth), tensor(3, reference::combine(1, truth, 1, e)),
                              tensor(2, y)};
      for (std::uint64_t step = 0; step < 5; ++step) {
        CHECK(forward.loss(real, 1, step).item() < 1e-12);
      }

      config.states = States::rollout;
      config.rollout_steps = 5;
      Refiner rollout(config, some_distribution(), scale, DType::f64, kWeights);
      make_oracle(rollout);
      const RefinerBatch b{tensor(3, truth), tensor(3, start(config, truth, e)), tensor(2, y)};
      const std::vector<Tensor> inputs = rollout.prepare(b, 1, 1).inputs;
      for (int moves = 0; moves < 5; ++moves) {
        CHECK(rollout.loss(inputs, moves, 1).item() < 1e-12);
      }
    }
  }
}

TEST_CASE("forward states: x_t, error, target and loss are the formulas'") {
  const Numbers truth = poses(1);
  const Numbers noisy = poses(2);
  const Numbers y = screen(3);
  const RefinerBatch batch{tensor(3, truth), tensor(3, noisy), tensor(2, y)};
  const ErrorScale scale = some_scale();
  std::set<int> sources_seen;
  for (const ErrorSource source :
       {ErrorSource::conditional, ErrorSource::real, ErrorSource::mixed}) {
    for (const NoiseKind kind : {NoiseKind::independent, NoiseKind::ar1}) {
      for (const LossKind loss : {LossKind::l2, LossKind::mse}) {
        for (const auto& [schedule, T] :
             {std::pair{ScheduleKind::cosine, 50}, std::pair{ScheduleKind::sigmoid, 5},
              std::pair{ScheduleKind::linear, 1}}) {
          RefinerConfig config = tiny();
          config.source = source;
          config.noise = kind;
          config.loss = loss;
          config.schedule = schedule;
          config.steps = T;
          const Refiner refiner = make(config);
          const Numbers alpha_bar = reference::alpha_bar(name(schedule), T);
          for (const std::uint64_t step : {0, 1, 2}) {
            CAPTURE(name(source));
            CAPTURE(T);
            CAPTURE(step);
            const std::uint64_t seed = 21;
            Words words(seed, step);
            std::vector<int> t;
            for (Index b = 0; b < kBatch; ++b) t.push_back(1 + words.below(T));
            const Numbers drawn = drawn_error(config, noisy, y, seed, step);
            const Numbers real = reference::combine(1, noisy, -1, truth);
            Numbers error;
            Numbers x;
            for (Index b = 0; b < kBatch; ++b) {
              const bool is_real =
                  source == ErrorSource::mixed ? words.below(2) == 1 : source == ErrorSource::real;
              if (source == ErrorSource::mixed) sources_seen.insert(is_real);
              const Numbers e = sequence(is_real ? real : drawn, b);
              append(error, e);
              append(x, reference::state(
                            alpha_bar[static_cast<std::size_t>(t[static_cast<std::size_t>(b)])],
                            sequence(truth, b), e));
            }
            const Numbers target = reference::normalized(error, scale.shift, scale.scale);
            const Numbers estimate = network(config, x, y, t);

            const Taps taps({"train.*"});
            const double found = refiner.loss(batch, seed, step).item();
            CHECK(tapped(taps, "train.t") == Numbers(t.begin(), t.end()));
            CHECK(distance(tapped(taps, "train.error"), error) < kRounding);
            CHECK(distance(tapped(taps, "train.x_t"), x) < kRounding);
            CHECK(distance(tapped(taps, "train.target"), target) < 1e-11);
            CHECK(distance(tapped(taps, "train.estimate"), estimate) < 1e-11);
            CHECK(found == doctest::Approx(loss == LossKind::l2 ? reference::l2(estimate, target)
                                                                : reference::mse(estimate, target))
                               .epsilon(1e-11));
            CHECK(tapped(taps, "train.loss") == Numbers{found});
          }
        }
      }
    }
  }
  CHECK(sources_seen.size() == 2);
}

TEST_CASE("forward states: the root joint of truth, error and state is exactly zero") {
  const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
  for (const ErrorSource source :
       {ErrorSource::conditional, ErrorSource::real, ErrorSource::mixed}) {
    RefinerConfig config = tiny();
    config.source = source;
    const Refiner refiner = make(config);
    const Taps taps({"train.error", "train.x_t"});
    refiner.loss(batch, 1, 2);
    for (const Taps::Captured& c : taps.captured()) {
      CHECK(c.values == reference::without_root(c.values));
    }
  }
}

TEST_CASE("forward states: every timestep from 1 to T has its own x_t") {
  RefinerConfig config = tiny();
  config.source = ErrorSource::real;
  const Refiner refiner = make(config);
  const Numbers alpha_bar = reference::alpha_bar("cosine", config.steps);
  const Numbers truth = poses(1);
  const Numbers noisy = poses(2);
  std::vector<Tensor> inputs =
      refiner.prepare({tensor(3, truth), tensor(3, noisy), tensor(2, screen(3))}, 1, 1).inputs;
  for (int t = 1; t + 1 < config.steps; ++t) {
    CAPTURE(t);
    const std::vector<std::int32_t> times{t, t + 1, t + 2};  // of the three sequences
    inputs[3] = Tensor::of<std::int32_t>({3}, times);
    Numbers x;
    for (Index b = 0; b < kBatch; ++b) {
      append(x,
             reference::state(alpha_bar[static_cast<std::size_t>(t + b)], sequence(truth, b),
                              reference::combine(1, sequence(noisy, b), -1, sequence(truth, b))));
    }
    const Taps taps({"train.x_t"});
    refiner.loss(inputs, 0, 1);
    CHECK(distance(tapped(taps, "train.x_t"), x) < kRounding);
  }
}

TEST_CASE("rollout states: what DDIM visits, and the error that leads from there to the truth") {
  const Numbers truth = poses(1);
  const Numbers noisy = poses(2);
  const Numbers y = screen(3);
  const ErrorScale scale = some_scale();
  for (const auto& [schedule, T, K] :
       {std::tuple{ScheduleKind::cosine, 50, 5}, std::tuple{ScheduleKind::linear, 7, 3},
        std::tuple{ScheduleKind::sigmoid, 1, 1}}) {
    for (const LossKind loss : {LossKind::l2, LossKind::mse}) {
      RefinerConfig config = tiny();
      config.states = States::rollout;
      config.rollout_steps = K;
      config.schedule = schedule;
      config.steps = T;
      config.loss = loss;
      const Refiner refiner = make(config);
      const Numbers alpha_bar = reference::alpha_bar(name(schedule), T);
      const auto at = [&](int t) { return alpha_bar[static_cast<std::size_t>(t)]; };
      const std::vector<int> tau = reference::ddim_steps(T, K);
      const std::vector<Tensor> inputs =
          refiner.prepare({tensor(3, truth), tensor(3, noisy), tensor(2, y)}, 1, 1).inputs;
      Numbers x = noisy;
      for (int moves = 0; moves < K; ++moves) {
        CAPTURE(T);
        CAPTURE(moves);
        const int t = tau[static_cast<std::size_t>(moves)];
        const Numbers error = reference::error_at(at(t), x, truth);
        const Numbers target = reference::normalized(error, scale.shift, scale.scale);
        const Numbers estimate = network(config, x, y, std::vector<int>(kBatch, t));
        const Taps taps({"train.*"});
        const double found = refiner.loss(inputs, moves, 1).item();
        CHECK(tapped(taps, "train.t") == Numbers{static_cast<double>(t)});
        CHECK(distance(tapped(taps, "train.x_t"), x) < 1e-11);
        CHECK(distance(tapped(taps, "train.error"), error) < 1e-10);
        CHECK(distance(tapped(taps, "train.target"), target) < 1e-9);
        CHECK(distance(tapped(taps, "train.estimate"), estimate) < 1e-10);
        CHECK(found == doctest::Approx(loss == LossKind::l2 ? reference::l2(estimate, target)
                                                            : reference::mse(estimate, target))
                           .epsilon(1e-10));
        for (int i = 1; i <= K; ++i) {  // the moves before, and no more, go by their numbers
          const std::string tap = "train.step." + std::to_string(i) + ".t";
          if (i <= moves) {
            CHECK(tapped(taps, tap) ==
                  Numbers{static_cast<double>(tau[static_cast<std::size_t>(i - 1)])});
          } else {
            CHECK_THROWS_AS(taps.at(tap), Error);
          }
        }

        const Numbers e = reference::denormalized(estimate, scale.shift, scale.scale);
        x = reference::state(at(tau[static_cast<std::size_t>(moves + 1)]),
                             reference::truth_at(at(t), x, e), e);
      }
    }
  }
}

TEST_CASE("rollout states: the moves before are not differentiated") {
  RefinerConfig config = tiny();
  config.states = States::rollout;
  config.rollout_steps = 3;
  Refiner refiner = make(config);
  const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
  const std::vector<Tensor> inputs = refiner.prepare(batch, 1, 1).inputs;
  const auto nodes = [&](int moves) {
    Tape tape;
    refiner.parameters().watch(tape);
    const Recording on(tape);
    refiner.loss(inputs, moves, 1);
    return tape.nodes().size();
  };
  CHECK(nodes(0) > 0);
  CHECK(nodes(2) == nodes(0));
}

TEST_CASE("the loss has the accelerations of the normalised error, times their weight") {
  const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
  for (RefinerConfig config : {tiny(), regression()}) {
    for (const LossKind loss : {LossKind::l2, LossKind::mse}) {
      config.loss = loss;
      config.acceleration_weight = 0.7;
      const Refiner refiner = make(config);
      const Taps taps({"train.*"});
      const double found = refiner.loss(batch, 1, 2).item();
      const Numbers estimate = tapped(taps, "train.estimate");
      const Numbers target = tapped(taps, "train.target");
      const double positions =
          loss == LossKind::l2 ? reference::l2(estimate, target) : reference::mse(estimate, target);
      const double accelerations =
          reference::acceleration(estimate, target, static_cast<int>(kFrames));
      CHECK(accelerations > 0.1);
      CHECK(found == doctest::Approx(positions + 0.7 * accelerations).epsilon(1e-11));
      CHECK(tapped(taps, "train.loss") == Numbers{found});
      CHECK(reloaded(refiner).loss(batch, 1, 2).item() == found);
    }
  }
  CHECK(to_json(tiny()).find("acceleration") == std::string::npos);  // as files were before
}

TEST_CASE("a single frame has a loss where accelerations do not count") {
  const auto one = [](Index channels, std::uint64_t seed) {
    return random_normal({kBatch, 1, 17, channels}, seed, 0.4);
  };
  for (RefinerConfig config : {tiny(), regression()}) {
    config.frames = 1;
    const Refiner refiner = make(config);
    const Taps taps({"train.*"});
    const double found = refiner.loss({one(3, 1), one(3, 2), one(2, 3)}, 1, 2).item();
    CHECK(found == doctest::Approx(
                       reference::l2(tapped(taps, "train.estimate"), tapped(taps, "train.target")))
                       .epsilon(1e-11));
  }
}

TEST_CASE("regression: the error of x_noisy, from x_noisy and y") {
  const Numbers truth = poses(1);
  const Numbers noisy = poses(2);
  const Numbers y = screen(3);
  const ErrorScale scale = some_scale();
  const Numbers error = reference::combine(1, noisy, -1, truth);
  const Numbers target = reference::normalized(error, scale.shift, scale.scale);
  for (const LossKind loss : {LossKind::l2, LossKind::mse}) {
    RefinerConfig config = regression();
    config.loss = loss;
    const Refiner refiner = make(config);
    const Numbers estimate = network(config, noisy, y, {});
    const Taps taps({"train.*", "step.*", "refined"});
    const double found =
        refiner.loss({tensor(3, truth), tensor(3, noisy), tensor(2, y)}, 1, 2).item();
    CHECK(tapped(taps, "train.x_t") == noisy);
    CHECK(distance(tapped(taps, "train.error"), error) < kRounding);
    CHECK(distance(tapped(taps, "train.target"), target) < 1e-11);
    CHECK(distance(tapped(taps, "train.estimate"), estimate) < 1e-11);
    CHECK(found == doctest::Approx(loss == LossKind::l2 ? reference::l2(estimate, target)
                                                        : reference::mse(estimate, target))
                       .epsilon(1e-11));

    // One step, whatever K is.
    const Numbers refined = refiner.refine(tensor(3, noisy), tensor(2, y), 7).to_doubles();
    const Numbers e = reference::denormalized(estimate, scale.shift, scale.scale);
    const Numbers expected = reference::without_root(reference::combine(1, noisy, -1, e));
    CHECK(distance(refined, expected) < kRounding);
    CHECK(refined == reference::without_root(refined));
    CHECK(tapped(taps, "step.1.t") == Numbers{0});
    CHECK(tapped(taps, "step.1.x_k") == noisy);
    CHECK(distance(tapped(taps, "step.1.error"), e) < kRounding);
    CHECK(tapped(taps, "step.1.x_hat") == refined);
    CHECK(distance(tapped(taps, "step.1.eps"), reference::combine(1, expected, 1, e)) < kRounding);
    CHECK_THROWS_AS(taps.at("step.2.t"), Error);
  }
}

TEST_CASE("refine: every DDIM step is the formulas'") {
  const Numbers noisy = poses(2);
  const Numbers y = screen(3);
  const ErrorScale scale = some_scale();
  for (const auto& [schedule, T] :
       {std::pair{ScheduleKind::cosine, 50}, std::pair{ScheduleKind::linear, 50},
        std::pair{ScheduleKind::sigmoid, 50}, std::pair{ScheduleKind::cosine, 7}}) {
    RefinerConfig config = tiny();
    config.schedule = schedule;
    config.steps = T;
    const Refiner refiner = make(config);
    const Numbers alpha_bar = reference::alpha_bar(name(schedule), T);
    for (const int K : {1, 2, 3, 5, 7}) {
      const std::vector<int> tau = reference::ddim_steps(T, K);
      const Taps taps({"step.*", "refined"});
      const Numbers refined = refiner.refine(tensor(3, noisy), tensor(2, y), K).to_doubles();
      Numbers x = noisy;
      for (int i = 0; i < K; ++i) {
        CAPTURE(name(schedule));
        CAPTURE(K);
        CAPTURE(i);
        const int k = tau[static_cast<std::size_t>(i)];
        const int j = tau[static_cast<std::size_t>(i) + 1];
        const std::string step = "step." + std::to_string(i + 1) + ".";
        CHECK(tapped(taps, step + "t") == Numbers{static_cast<double>(k)});
        CHECK(distance(tapped(taps, step + "x_k"), x) < 1e-11);
        const Numbers estimate = network(config, x, y, std::vector<int>(kBatch, k));
        CHECK(distance(tapped(taps, step + "output"), estimate) < 1e-10);
        const Numbers e = reference::denormalized(estimate, scale.shift, scale.scale);
        const Numbers x0 = reference::truth_at(alpha_bar[static_cast<std::size_t>(k)], x, e);
        CHECK(distance(tapped(taps, step + "error"), e) < 1e-11);
        CHECK(distance(tapped(taps, step + "x_hat"), x0) < 1e-11);
        CHECK(distance(tapped(taps, step + "eps"), reference::combine(1, x0, 1, e)) < 1e-11);
        x = reference::state(alpha_bar[static_cast<std::size_t>(j)], x0, e);
      }
      CHECK(distance(refined, reference::without_root(x)) < 1e-11);
      CHECK(refined == reference::without_root(refined));
      CHECK(tapped(taps, "refined") == refined);
      CHECK_THROWS_AS(taps.at("step." + std::to_string(K + 1) + ".t"), Error);
    }
  }
}

TEST_CASE("error_at: what the network says of each sequence's state at its own timestep") {
  const Numbers x = poses(2);
  const Numbers y = screen(3);
  std::vector<int> t;
  for (int b = 0; b < kBatch; ++b) t.push_back(50 - 13 * b);
  const Numbers expected =
      reference::denormalized(network(tiny(), x, y, t), some_scale().shift, some_scale().scale);
  const auto error = [&](const Refiner& refiner) {
    const std::vector<std::int32_t> steps(t.begin(), t.end());
    return refiner.error_at(tensor(3, x), tensor(2, y), Tensor::of<std::int32_t>({kBatch}, steps));
  };
  CHECK(distance(error(make(tiny())).to_doubles(), expected) < 1e-11);
  CHECK_THROWS_AS(error(make(regression())), Error);
}

TEST_CASE("a network in bf16 moves poses that keep f32's digits") {
  const auto f32 = [](Index channels, const Numbers& values) {
    return Tensor::of(tensor(channels, values).shape(), std::span<const double>(values),
                      DType::f32);
  };
  const Numbers noisy = poses(2);
  const Numbers y = screen(3);
  const Tensor refined = make(tiny(), DType::bf16).refine(f32(3, noisy), f32(2, y), 2);
  CHECK(refined.dtype() == DType::f32);
  const Numbers exact = make(tiny()).refine(tensor(3, noisy), tensor(2, y), 2).to_doubles();
  CHECK(distance(refined.to_doubles(), exact) < 0.02);
  CHECK(distance(exact, noisy) > 0.1);
}

TEST_CASE("the network is told the right timestep: its first layer sees the sinusoids of t") {
  RefinerConfig config = tiny();
  config.network.width = 12;
  const Refiner refiner = make(config);
  Numbers weight;
  Numbers bias;
  for (const auto& entry : refiner.parameters().entries()) {
    if (entry.name == "timestep.0.weight") weight = entry.value.to_doubles();
    if (entry.name == "timestep.0.bias") bias = entry.value.to_doubles();
  }
  // silu(W embedding(t) + bias).
  const auto first_layer = [&](int t) {
    const Numbers in = reference::embedding(t, 12);
    Numbers out;
    for (std::size_t i = 0; i < 12; ++i) {
      double z = bias[i];
      for (std::size_t j = 0; j < 12; ++j) z += weight[i * 12 + j] * in[j];
      out.push_back(z / (1 + std::exp(-z)));
    }
    return out;
  };

  const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
  const Taps taps({"timestep.0"});
  std::vector<Tensor> inputs = refiner.prepare(batch, 1, 1).inputs;
  for (int t = 1; t + 1 < config.steps; ++t) {
    const std::vector<std::int32_t> times{t, t + 1, t + 2};
    inputs[3] = Tensor::of<std::int32_t>({3}, times);
    refiner.loss(inputs, 0, 1);
    Numbers expected;
    for (const int k : times) append(expected, first_layer(k));
    CHECK(distance(tapped(taps, "train.timestep.0"), expected) < 1e-13);
  }
  for (const int K : {2, 3, 50}) {
    refiner.refine(batch.noisy, batch.y, K);
    const std::vector<int> tau = reference::ddim_steps(config.steps, K);
    for (int i = 0; i < K; ++i) {
      Numbers expected;
      for (Index b = 0; b < kBatch; ++b) {
        append(expected, first_layer(tau[static_cast<std::size_t>(i)]));
      }
      const std::string name = "step." + std::to_string(i + 1) + ".timestep.0";
      CHECK(distance(tapped(taps, name), expected) < 1e-13);
    }
  }
}

TEST_CASE("a diffusion needs a network with a timestep, and a regression one without") {
  for (RefinerConfig config : {tiny(), regression()}) {
    config.network.timestep = !config.network.timestep;
    CHECK_THROWS_WITH_AS(make(config), doctest::Contains("refiner: network.timestep is"), Error);
  }
}

TEST_CASE(
    "a rollout of more steps than the diffusion has, or a state that it has not, is refused") {
  RefinerConfig config = tiny();
  config.states = States::rollout;
  for (const int K : {0, 51}) {
    config.rollout_steps = K;
    CHECK_THROWS_WITH_AS(make(config), doctest::Contains("choose 1 to 50"), Error);
  }
  config.rollout_steps = 2;
  const Refiner refiner = make(config);
  const std::vector<Tensor> inputs =
      refiner.prepare({tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))}, 1, 1)
          .inputs;
  for (const int moves : {-1, 2}) {
    CHECK_THROWS_WITH_AS(refiner.loss(inputs, moves, 1), doctest::Contains("0 to 1 are possible"),
                         Error);
  }
}

TEST_CASE("the corrections without a network subtract the mean error, plain or conditional") {
  const Refiner refiner = make(tiny());
  const ConditionalNoise noise = some_distribution();
  const Numbers noisy = poses(2);
  const Numbers y = screen(3);
  const Numbers mu_a = noise.mu_a.to_doubles();
  const reference::Conditional c{mu_a,
                                 noise.mu_b.to_doubles(),
                                 reference::Matrix(51, 85, noise.gain.to_doubles()),
                                 reference::Matrix(0, 0),
                                 0,
                                 reference::Matrix(0, 0)};
  reference::Matrix b(static_cast<int>(kBatch * kFrames), 85);
  Numbers bias;
  for (int f = 0; f < b.rows; ++f) {
    for (int j = 0; j < 34; ++j) b(f, j) = y[static_cast<std::size_t>(f * 34 + j)];
    for (int j = 0; j < 51; ++j) b(f, 34 + j) = noisy[static_cast<std::size_t>(f * 51 + j)];
    append(bias, mu_a);
  }
  const Numbers mean = reference::conditional_mean(c, b).values;

  const Numbers linear = refiner.linear_correction(tensor(3, noisy), tensor(2, y)).to_doubles();
  CHECK(linear == reference::without_root(linear));
  CHECK(distance(linear, reference::without_root(reference::combine(1, noisy, -1, mean))) <
        kRounding);
  const Numbers plain = refiner.bias_correction(tensor(3, noisy)).to_doubles();
  CHECK(plain == reference::without_root(plain));
  CHECK(distance(plain, reference::without_root(reference::combine(1, noisy, -1, bias))) <
        kRounding);
}

TEST_CASE("confidence is for the network alone: noise and correction depend on the 2D pose") {
  RefinerConfig config = tiny();
  config.network.screen = 3;
  const Refiner refiner = make(config);
  const Numbers noisy = poses(2);
  const Numbers y = screen(3);
  Numbers with_confidence;
  for (std::size_t i = 0; i < y.size(); i += 2) {
    append(with_confidence, {y[i], y[i + 1], 0.1 + 0.001 * static_cast<double>(i)});
  }
  const Tensor sure = tensor(3, with_confidence);
  const Taps taps({"train.error"});
  refiner.loss({tensor(3, poses(1)), tensor(3, noisy), sure}, 21, 4);
  CHECK(distance(tapped(taps, "train.error"), drawn_error(config, noisy, y, 21, 4)) < kRounding);
  CHECK(refiner.linear_correction(tensor(3, noisy), sure).to_doubles() ==
        make(tiny()).linear_correction(tensor(3, noisy), tensor(2, y)).to_doubles());

  // The file knows of it.
  CHECK(to_json(config).ends_with(R"("loss":"l2","confidence":1})"));
  const Refiner loaded = reloaded(refiner);
  CHECK(loaded.config().network.screen == 3);
  CHECK(loaded.refine(tensor(3, noisy), sure, 2).to_doubles() ==
        refiner.refine(tensor(3, noisy), sure, 2).to_doubles());
}

TEST_CASE(
    "how sure it is, a refiner reads from the features of its last step, and keeps in files") {
  const Tensor noisy = tensor(3, poses(2));
  const Tensor y = tensor(2, screen(3));
  for (const RefinerConfig& config : {tiny(), regression()}) {
    Refiner refiner = make(config);
    const Refiner::Refined unsure = refiner.refine_surely(noisy, y, 3);
    CHECK_FALSE(unsure.log_std.defined());
    CHECK(reloaded(refiner).uncertainty() == nullptr);

    Uncertainty head(8, 6, Numbers(51, 0.05), 3);
    for (const auto& entry : head.parameters().entries()) {
      // Away from the output's zeros.
      if (entry.name == "output.weight") copy(random_normal({3, 6}, 5, 0.5), entry.value);
    }
    refiner.set_uncertainty(head);
    const Taps taps({"step.*.x_k", "log_std"});
    const Refiner::Refined sure = refiner.refine_surely(noisy, y, 3);
    CHECK(sure.poses.to_doubles() == refiner.refine(noisy, y, 3).to_doubles());
    CHECK(sure.poses.to_doubles() == unsure.poses.to_doubles());

    // Those of the network at the last state.
    const bool diffusion = config.objective == Objective::diffusion;
    const Numbers& x = tapped(taps, diffusion ? "step.3.x_k" : "step.1.x_k");
    Tensor embedding;
    if (diffusion) {
      Numbers rows;
      for (Index b = 0; b < kBatch; ++b) {
        append(rows, reference::embedding(reference::ddim_steps(config.steps, 3)[2], 8));
      }
      embedding = Tensor::of({kBatch, 8}, std::span<const double>(rows), DType::f64);
    }
    const Tensor features = model::PoseDenoiser(config.network, DType::f64, kWeights)
                                .features(tensor(3, x), y, embedding);
    CHECK(distance(sure.features.to_doubles(), features.to_doubles()) < 1e-12);
    CHECK(sure.log_std.to_doubles() == head.log_std(sure.features).to_doubles());
    CHECK(tapped(taps, "log_std") == sure.log_std.to_doubles());

    const Refiner loaded = reloaded(refiner);
    REQUIRE(loaded.uncertainty() != nullptr);
    CHECK(loaded.refine_surely(noisy, y, 3).log_std.to_doubles() == sure.log_std.to_doubles());
  }
}

TEST_CASE("prepare: one t for each sequence, uniform from 1 to T, both ends included") {
  RefinerConfig config = tiny();
  config.steps = 10;
  const Refiner refiner = make(config);
  const Index count = 1000;
  const Tensor poses3 = Tensor::zeros({count, 1, 17, 3}, DType::f64);
  const Tensor poses2 = Tensor::zeros({count, 1, 17, 2}, DType::f64);
  std::vector<int> times(12, 0);
  for (std::uint64_t step = 0; step < 4; ++step) {
    Words words(5, step);
    const Refiner::Prepared p = refiner.prepare({poses3, poses3, poses2}, 5, step);
    CHECK(p.moves == 0);
    REQUIRE(p.inputs.size() == 6);
    CHECK(p.inputs[3].shape() == Shape{count});
    for (const std::int32_t t : p.inputs[3].values<std::int32_t>()) {
      REQUIRE(t >= 1);
      REQUIRE(t <= 10);
      CHECK(t == 1 + words.below(10));
      ++times[static_cast<std::size_t>(t)];
    }
    CHECK(p.inputs[4].to_doubles() == Numbers(static_cast<std::size_t>(count), 0));
    REQUIRE(p.inputs[5].shape() == Shape{count, 2});
    const std::span<const double> address = p.inputs[5].values<double>();
    for (Index b = 0; b < count; ++b) {
      CHECK(address[static_cast<std::size_t>(2 * b)] == static_cast<double>(step));
      CHECK(address[static_cast<std::size_t>(2 * b + 1)] == static_cast<double>(b));
    }
  }
  // Chi-square of 9 degrees of freedom, beyond 33.7 once in 10^4.
  double chi = 0;
  for (int t = 1; t <= 10; ++t) chi += std::pow(times[static_cast<std::size_t>(t)] - 400, 2) / 400;
  CHECK(chi < 33.7);
}

TEST_CASE("loss: a part of a batch has the noise and the timesteps that it has in the whole") {
  for (const NoiseKind noise : {NoiseKind::independent, NoiseKind::ar1}) {
    RefinerConfig config = tiny();
    config.noise = noise;
    config.source = ErrorSource::mixed;
    const Refiner refiner = make(config);
    const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
    const Refiner::Prepared p = refiner.prepare(batch, 5, 6);
    const auto errors = [&](Index first, Index count) {
      std::vector<Tensor> rows;
      for (const Tensor& x : p.inputs) {
        const Index row = x.size() / x.shape()[0];
        rows.push_back(x.alias(x.shape().with(0, count), first * row).clone());
      }
      const Taps taps({"train.error"});
      refiner.loss(rows, p.moves, 5);
      return taps.captured().at(0).values;
    };
    const Index windows = batch.truth.shape()[0];
    REQUIRE(windows > 1);
    const Numbers whole = errors(0, windows);
    Numbers parts = errors(0, 1);
    const Numbers rest = errors(1, windows - 1);
    parts.insert(parts.end(), rest.begin(), rest.end());
    CHECK(parts == whole);
  }
}

TEST_CASE("prepare: a mixed source takes either error, sequence by sequence") {
  RefinerConfig config = tiny();
  config.source = ErrorSource::mixed;
  const Refiner refiner = make(config);
  const Index count = 4000;
  const Tensor poses3 = Tensor::zeros({count, 1, 17, 3}, DType::f64);
  const Tensor poses2 = Tensor::zeros({count, 1, 17, 2}, DType::f64);
  const Refiner::Prepared p = refiner.prepare({poses3, poses3, poses2}, 5, 6);
  Words words(5, 6);
  for (Index b = 0; b < count; ++b) words.below(1);  // its timesteps
  double sum = 0;
  for (const double is_real : p.inputs[4].to_doubles()) {
    CHECK(is_real == words.below(2));
    sum += is_real;
  }
  CHECK(std::fabs(sum - 2000) < 4 * std::sqrt(1000));
}

TEST_CASE("prepare: the state of a rollout is any of the K that inference visits") {
  RefinerConfig config = tiny();
  config.states = States::rollout;
  config.rollout_steps = 3;
  const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
  const Refiner refiner = make(config);
  std::vector<int> times(3, 0);
  for (std::uint64_t step = 0; step < 600; ++step) {
    const Refiner::Prepared p = refiner.prepare(batch, 5, step);
    REQUIRE(p.moves >= 0);
    REQUIRE(p.moves < 3);
    CHECK(p.moves == Words(5, step).below(3));
    ++times[static_cast<std::size_t>(p.moves)];
  }
  for (const int n : times) CHECK(std::abs(n - 200) < 50);  // 4.3 standard deviations

  config = regression();
  config.rollout_steps = 3;
  CHECK(make(config).prepare(batch, 5, 1).moves == 0);
}

TEST_CASE("prepare: the batch goes through as it is, and the step decides the draws") {
  const Refiner refiner = make(tiny());
  const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
  const Refiner::Prepared p = refiner.prepare(batch, 5, 1);
  CHECK(p.inputs[0].to_doubles() == poses(1));
  CHECK(p.inputs[1].to_doubles() == poses(2));
  CHECK(p.inputs[2].to_doubles() == screen(3));
  const auto t = [&](std::uint64_t seed, std::uint64_t step) {
    return refiner.prepare(batch, seed, step).inputs[3].to_doubles();
  };
  CHECK(t(5, 1) == t(5, 1));
  CHECK(t(5, 1) != t(5, 2));
  CHECK(t(5, 1) != t(6, 1));
  CHECK(refiner.loss(batch, 5, 1).item() == refiner.loss(p.inputs, p.moves, 5).item());
}

TEST_CASE("the error scale is one number, or one for each coordinate that varies") {
  const Numbers mean = numbers(51, 1, 0.1);
  Numbers variance(51, 4.0);
  variance[0] = 0;
  variance[1] = 1e-13;  // a tenth of a micrometre squared and less: it never errs
  variance[2] = 1e-11;
  variance[3] = 1e-4;
  const ErrorScale one = fit_error_scale(Normalization::mean_abs, 0.25, mean, variance);
  CHECK(one.scale == Numbers(51, 0.25));
  CHECK(one.shift == Numbers(51, 0.0));
  const ErrorScale each = fit_error_scale(Normalization::per_coordinate, 0.25, mean, variance);
  Numbers scale(51, 2.0);
  scale[0] = scale[1] = 1;
  scale[2] = std::sqrt(1e-11);
  scale[3] = 0.01;
  CHECK(distance(each.scale, scale) < 1e-15);
  CHECK(each.shift == mean);
}

TEST_CASE("an error scale that cannot be divided by is refused") {
  const auto with = [](ErrorScale scale) {
    return Refiner(tiny(), some_distribution(), std::move(scale), DType::f64, 1);
  };
  for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    ErrorScale scale = some_scale();
    scale.scale[50] = bad;
    CHECK_THROWS_WITH_AS(with(scale), doctest::Contains("is not a positive number"), Error);
  }
  ErrorScale small = some_scale();
  small.scale[50] = 1e-6;  // a micrometre
  CHECK_NOTHROW(with(small));
  ErrorScale scale = some_scale();
  scale.shift.pop_back();
  CHECK_THROWS_WITH_AS(with(scale), "error scale: 50 shifts and 51 scales, expected 51 of each",
                       Error);
  scale = some_scale();
  scale.scale.push_back(1);
  CHECK_THROWS_WITH_AS(with(scale), "error scale: 51 shifts and 52 scales, expected 51 of each",
                       Error);
}

TEST_CASE("every choice has a name, and is read by it") {
  const auto check = [](auto... values) {
    std::set<std::string> names;
    for (const auto value : {values...}) {
      using E = std::remove_const_t<decltype(value)>;
      CHECK(parse<E>(name(value)) == value);
      names.insert(name(value));
    }
    CHECK(names.size() == sizeof...(values));
    using E = std::common_type_t<decltype(values)...>;
    CHECK(kChoices<E>.list.size() == sizeof...(values));
    for (const std::string& known : names) {
      CHECK_THROWS_WITH_AS(parse<E>("none"), doctest::Contains(known.c_str()), Error);
    }
  };
  check(ErrorSource::conditional, ErrorSource::real, ErrorSource::mixed);
  check(Objective::diffusion, Objective::regression);
  check(States::forward, States::rollout);
  check(Normalization::mean_abs, Normalization::per_coordinate);
  check(LossKind::l2, LossKind::mse);
  check(NoiseKind::independent, NoiseKind::ar1);
  check(ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::sigmoid);
  CHECK_THROWS_WITH_AS(parse<ErrorSource>("Mixed"),
                       "error source \"Mixed\" is unknown; choose one of: conditional, real, mixed",
                       Error);
}

TEST_CASE("a configuration comes back from its JSON, every field of it") {
  RefinerConfig config;
  config.network = {24, 3, 6, 5, true};
  config.frames = 9;
  config.steps = 7;
  config.rollout_steps = 4;
  config.schedule = ScheduleKind::sigmoid;
  config.noise = NoiseKind::ar1;
  config.source = ErrorSource::mixed;
  config.states = States::rollout;
  config.normalization = Normalization::per_coordinate;
  config.loss = LossKind::mse;
  const std::string json = to_json(config);
  CHECK(json ==
        R"({"width":24,"depth":3,"heads":6,"mlp_ratio":5,"frames":9,"steps":7,)"
        R"("schedule":"sigmoid","noise":"ar1","error_source":"mixed","objective":"diffusion",)"
        R"("states":"rollout","rollout_steps":4,"normalization":"per-coordinate","loss":"mse"})");
  CHECK(to_json(parse_refiner_config(json, "x")) == json);
  CHECK(parse_refiner_config(json, "x").network.timestep);
  config.objective = Objective::regression;
  CHECK_FALSE(parse_refiner_config(to_json(config), "x").network.timestep);
  CHECK_THROWS_WITH_AS(parse_refiner_config("{}", "x.safetensors"),
                       doctest::Contains("x.safetensors: the refiner's configuration is not "
                                         "readable"),
                       Error);
}

TEST_CASE("a checkpoint with a weight that is no number is refused") {
  TensorFile file;
  make(tiny()).save(file);
  for (const auto& [name, tensor] : file.tensors) {
    if (name == "network.output.bias") fill(tensor, std::nan(""));
  }
  CHECK_THROWS_WITH_AS(Refiner::load(file, "x.safetensors", DType::f32),
                       doctest::Contains("x.safetensors: tensor 'network.output.bias' holds nan"),
                       Error);
}

TEST_CASE("a file that claims a larger network than it has is refused before there is one") {
  TensorFile file;
  make(tiny()).save(file);
  RefinerConfig config = tiny();
  config.network.width = 256;
  file.metadata["config"] = to_json(config);
  CHECK_THROWS_WITH_AS(Refiner::load(file, "x.safetensors", DType::f32),
                       doctest::Contains("in windows of 4 frames, where the file has"), Error);
}

TEST_CASE("save and load keep every constant and every choice") {
  for (const RefinerConfig& base : {tiny(), regression()}) {
    RefinerConfig config = base;
    config.steps = 7;
    config.schedule = ScheduleKind::sigmoid;
    config.noise = NoiseKind::ar1;
    config.source = ErrorSource::mixed;
    config.loss = LossKind::mse;
    const Refiner refiner = make(config);
    const Refiner loaded = reloaded(refiner);
    CHECK(to_json(loaded.config()) == to_json(config));
    const RefinerBatch batch{tensor(3, poses(1)), tensor(3, poses(2)), tensor(2, screen(3))};
    CHECK(loaded.loss(batch, 1, 2).item() == refiner.loss(batch, 1, 2).item());
    CHECK(loaded.refine(batch.noisy, batch.y, 3).to_doubles() ==
          refiner.refine(batch.noisy, batch.y, 3).to_doubles());
    CHECK(loaded.linear_correction(batch.noisy, batch.y).to_doubles() ==
          refiner.linear_correction(batch.noisy, batch.y).to_doubles());
    CHECK(loaded.bias_correction(batch.noisy).to_doubles() ==
          refiner.bias_correction(batch.noisy).to_doubles());
  }
}
