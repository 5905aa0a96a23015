// Every formula a second time, as its paper has it, in plain numbers.
#include "diffusion/gaussian.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/error.hpp"
#include "engine/ops.hpp"
#include "engine/random_fill.hpp"
#include "engine/tape.hpp"
#include "engine/taps.hpp"
#include "tests/diffusion/reference.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using doctest::Approx;

namespace {

constexpr ScheduleKind kSchedules[] = {ScheduleKind::cosine, ScheduleKind::linear,
                                       ScheduleKind::sigmoid};
constexpr Prediction kPredictions[] = {Prediction::x0, Prediction::noise, Prediction::v};
constexpr Weighting kWeightings[] = {Weighting::plain,        Weighting::uniform,
                                     Weighting::snr,          Weighting::truncated_snr,
                                     Weighting::snr_plus_one, Weighting::min_snr};
constexpr std::uint64_t kSeed = 3;

// One point of the process: what x_t and each prediction are for a known x0 and noise.
struct Point {
  double x0, noise, alpha_bar;
  double x_t() const { return std::sqrt(alpha_bar) * x0 + std::sqrt(1 - alpha_bar) * noise; }
  double value(Prediction kind) const {
    if (kind == Prediction::x0) return x0;
    if (kind == Prediction::noise) return noise;
    return std::sqrt(alpha_bar) * noise - std::sqrt(1 - alpha_bar) * x0;
  }
};

Tensor normal(const Shape& shape, std::uint64_t seed, std::uint64_t step = 0) {
  const Tensor t = Tensor::empty(shape, DType::f64);
  fill_normal(t, seed, Stream::noise, step);
  return t;
}

Tensor timesteps(std::vector<std::int32_t> t) {
  return Tensor::of<std::int32_t>({static_cast<Index>(t.size())}, t);
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const std::vector<double> p = a.to_doubles();
  const std::vector<double> q = b.to_doubles();
  double most = 0;
  for (std::size_t i = 0; i < p.size(); ++i) most = std::max(most, std::fabs(p[i] - q[i]));
  return most;
}

// A network that knows the data: what it should say of any x_t whose x0 is `truth`.
Denoise knowing(const GaussianDiffusion& diffusion, const Tensor& truth) {
  return [&diffusion, truth](const Tensor& x, const Tensor& t) {
    const double a = diffusion.schedule().sqrt_alpha_bar(t.values<std::int32_t>()[0]);
    const double s = diffusion.schedule().sqrt_one_minus(t.values<std::int32_t>()[0]);
    const Tensor noise = scale(sub(x, scale(truth, a)), 1 / s);
    return diffusion.target(truth, noise, t);
  };
}

}  // namespace

TEST_CASE("x0, noise and v are converted into each other, there and back") {
  for (const ScheduleKind kind : kSchedules) {
    const Schedule schedule = make_schedule(kind, 50);
    const reference::Numbers alpha_bar = reference::alpha_bar(name(kind), 50);
    for (int t = 1; t <= 50; ++t) {
      const Point point{0.37, -1.3, alpha_bar[static_cast<std::size_t>(t)]};
      for (const Prediction from : kPredictions) {
        for (const Prediction to : kPredictions) {
          CAPTURE(name(kind));
          CAPTURE(t);
          CAPTURE(name(from));
          CAPTURE(name(to));
          const Conversion c = conversion(schedule, from, to, t);
          // The digits that x_t has of x0, or of the noise, are no more than that.
          const double digits =
              1e-13 / std::min(std::sqrt(point.alpha_bar), std::sqrt(1 - point.alpha_bar));
          CHECK(std::fabs(c.x * point.x_t() + c.value * point.value(from) - point.value(to)) <
                digits);
          const Conversion back = conversion(schedule, to, from, t);
          CHECK(std::fabs(back.value * c.value - 1) < 1e-9);
          CHECK(std::fabs(back.x + back.value * c.x) < 1e-9);
        }
        const Conversion same = conversion(schedule, from, from, t);
        CHECK(same.x == 0);
        CHECK(same.value == 1);
      }
    }
  }
}

TEST_CASE("the posterior is that of two Gaussians, by their densities' product") {
  // q(x_s | x_t, x0) ~ q(x_t | x_s) q(x_s | x0): precisions add up, and so do means weighted by
  // them.
  for (const ScheduleKind kind : kSchedules) {
    const Schedule schedule = make_schedule(kind, 40);
    const reference::Numbers alpha_bar = reference::alpha_bar(name(kind), 40);
    for (const auto& [t, s] : {std::pair{40, 39}, {40, 20}, {21, 3}, {2, 1}}) {
      CAPTURE(name(kind));
      CAPTURE(t);
      CAPTURE(s);
      const double at = alpha_bar[static_cast<std::size_t>(t)];
      const double as = alpha_bar[static_cast<std::size_t>(s)];
      const double alpha = at / as;
      const double precision = alpha / (1 - alpha) + 1 / (1 - as);
      const Move move = ddpm_move(schedule, t, s);
      CHECK(move.noise * move.noise == Approx(1 / precision).epsilon(1e-9));
      CHECK(move.x == Approx(std::sqrt(alpha) / (1 - alpha) / precision).epsilon(1e-9));
      CHECK(move.x0 == Approx(std::sqrt(as) / (1 - as) / precision).epsilon(1e-9));
    }
    const Move last = ddpm_move(schedule, 7, 0);
    CHECK(last.x0 == Approx(1).epsilon(1e-14));
    CHECK(last.x == 0);
    CHECK(last.noise == 0);
  }
}

TEST_CASE("every move keeps the process: x_s has the mean and variance of the forward process") {
  for (const ScheduleKind kind : kSchedules) {
    const Schedule schedule = make_schedule(kind, 40);
    const reference::Numbers alpha_bar = reference::alpha_bar(name(kind), 40);
    for (const auto& [t, s] : {std::pair{40, 39}, {40, 20}, {21, 3}, {2, 1}, {5, 0}}) {
      const double at = alpha_bar[static_cast<std::size_t>(t)];
      const double as = alpha_bar[static_cast<std::size_t>(s)];
      for (const double eta : {0.0, 0.3, 1.0}) {
        CAPTURE(name(kind));
        CAPTURE(t);
        CAPTURE(s);
        CAPTURE(eta);
        const Move m = ddim_move(schedule, t, s, eta);
        CHECK(m.x0 + m.x * std::sqrt(at) == Approx(std::sqrt(as)).epsilon(1e-12));
        CHECK(m.x * m.x * (1 - at) + m.noise * m.noise == Approx(1 - as).epsilon(1e-12));
        // Song et al., equation 16.
        const double sigma = eta * std::sqrt((1 - as) / (1 - at)) * std::sqrt(1 - at / as);
        CHECK(m.noise == Approx(sigma).epsilon(1e-12));
      }
      const Move one = ddim_move(schedule, t, s, 1);
      const Move ddpm = ddpm_move(schedule, t, s);
      CHECK(one.noise == ddpm.noise);
      CHECK(one.x == Approx(ddpm.x).epsilon(1e-9));
      CHECK(one.x0 == Approx(ddpm.x0).epsilon(1e-9));
    }
  }
}

TEST_CASE("a weight of the loss is that of the error of x0") {
  const Schedule schedule = make_schedule(ScheduleKind::cosine, 50);
  for (const int t : {1, 10, 25, 50}) {
    const double alpha_bar = reference::alpha_bar("cosine", 50)[static_cast<std::size_t>(t)];
    const double snr = alpha_bar / (1 - alpha_bar);
    CHECK(signal_to_noise(schedule, t) == Approx(snr).epsilon(1e-12));
    for (const Prediction kind : kPredictions) {
      // The square of an error of the prediction for an error of 1 of x0, x_t being what it is.
      const double own = std::pow(conversion(schedule, Prediction::x0, kind, t).value, 2);
      CAPTURE(t);
      CAPTURE(name(kind));
      CHECK(loss_weight(Weighting::plain, kind, snr) == 1);
      CHECK(loss_weight(Weighting::uniform, kind, snr) * own == Approx(1));
      CHECK(loss_weight(Weighting::snr, kind, snr) * own == Approx(snr));
      CHECK(loss_weight(Weighting::truncated_snr, kind, snr) * own == Approx(snr < 1 ? 1 : snr));
      CHECK(loss_weight(Weighting::snr_plus_one, kind, snr) * own == Approx(snr + 1));
      CHECK(loss_weight(Weighting::min_snr, kind, snr) * own == Approx(snr > 5 ? 5 : snr));
    }
    CHECK(loss_weight(Weighting::snr, Prediction::noise, snr) == 1);
    CHECK(loss_weight(Weighting::snr_plus_one, Prediction::v, snr) == 1);
  }
}

TEST_CASE("the state, the target and every conversion of a batch with its own timesteps") {
  const Tensor x0 = normal({3, 2, 2}, 1);
  const Tensor noise = normal({3, 2, 2}, 2);
  const std::vector<std::int32_t> t{1, 50, 17};
  const reference::Numbers alpha_bar = reference::alpha_bar("sigmoid", 50);
  for (const Prediction kind : kPredictions) {
    const GaussianDiffusion diffusion(
        {.schedule = ScheduleKind::sigmoid, .T = 50, .prediction = kind}, DType::f64);
    CHECK(diffusion.config().prediction == kind);
    const Tensor x_t = diffusion.noised(x0, noise, timesteps(t));
    const Tensor target = diffusion.target(x0, noise, timesteps(t));
    for (const Prediction wanted : kPredictions) {
      const Tensor got = diffusion.as(wanted, target, x_t, timesteps(t));
      for (std::size_t i = 0; i < 12; ++i) {
        const Point point{x0.to_doubles()[i], noise.to_doubles()[i],
                          alpha_bar[static_cast<std::size_t>(t[i / 4])]};
        CAPTURE(name(kind));
        CAPTURE(name(wanted));
        CAPTURE(i);
        CHECK(x_t.to_doubles()[i] == Approx(point.x_t()).epsilon(1e-12));
        CHECK(target.to_doubles()[i] == Approx(point.value(kind)).epsilon(1e-12));
        CHECK(got.to_doubles()[i] == Approx(point.value(wanted)).epsilon(1e-9));
      }
    }
  }
}

TEST_CASE("a training example is drawn by its seed and step, and covers all timesteps") {
  const GaussianDiffusion diffusion({.T = 4, .prediction = Prediction::v}, DType::f64);
  const Tensor x0 = normal({400, 3}, 1);
  const auto e = diffusion.example(x0, kSeed, 5);
  std::vector<int> count(5, 0);
  for (const std::int32_t t : e.t.values<std::int32_t>()) {
    REQUIRE(t >= 1);
    REQUIRE(t <= 4);
    ++count[static_cast<std::size_t>(t)];
  }
  for (int t = 1; t <= 4; ++t) CHECK(count[static_cast<std::size_t>(t)] > 60);  // 100 on average
  const Tensor noise = normal({400, 3}, kSeed, 5);
  CHECK(largest_difference(e.x, diffusion.noised(x0, noise, e.t)) == 0);
  CHECK(largest_difference(e.target, diffusion.target(x0, noise, e.t)) == 0);
  const auto other = diffusion.example(x0, kSeed, 6);
  CHECK(largest_difference(e.x, other.x) > 0.1);
  CHECK(!std::ranges::equal(e.t.values<std::int32_t>(), other.t.values<std::int32_t>()));
}

TEST_CASE("the loss is the mean of the weighted squares, and its gradient is right") {
  const Tensor x0 = normal({5, 3}, 1);
  const Tensor said = normal({5, 3}, 2);
  for (const Prediction kind : kPredictions) {
    for (const Weighting weighting : kWeightings) {
      CAPTURE(name(kind));
      CAPTURE(name(weighting));
      const GaussianDiffusion diffusion({.T = 20, .prediction = kind, .weighting = weighting},
                                        DType::f64);
      const auto e = diffusion.example(x0, kSeed, 0);
      double expected = 0;
      for (std::size_t i = 0; i < 15; ++i) {
        const double snr = signal_to_noise(diffusion.schedule(), e.t.values<std::int32_t>()[i / 3]);
        const double error = said.to_doubles()[i] - e.target.to_doubles()[i];
        expected += loss_weight(weighting, kind, snr) * error * error / 15;
      }
      CHECK(diffusion.loss(said, e).item() == Approx(expected).epsilon(1e-12));
      CHECK(diffusion.loss(e.target, e).item() == 0);
      const auto wide = diffusion.example(reshape(x0, {5, 1, 3}), kSeed, 0);
      CHECK(diffusion.loss(reshape(said, {5, 1, 3}), wide).item() ==
            Approx(expected).epsilon(1e-12));
    }
  }
  const GaussianDiffusion diffusion({.T = 20, .weighting = Weighting::uniform}, DType::f64);
  const auto e = diffusion.example(x0, kSeed, 0);
  Tape tape;
  tape.watch(said);
  Tensor loss;
  {
    const Recording on(tape);
    loss = diffusion.loss(said, e);
  }
  const std::vector<double> gradient = tape.backward(loss).of(said).to_doubles();
  for (std::size_t i = 0; i < 15; ++i) {
    const double snr = signal_to_noise(diffusion.schedule(), e.t.values<std::int32_t>()[i / 3]);
    const double error = said.to_doubles()[i] - e.target.to_doubles()[i];
    CHECK(gradient[i] == Approx(2 * error / snr / 15).epsilon(1e-12));
  }
}

TEST_CASE("a network that knows the data samples them, with every prediction and sampler") {
  const Tensor truth = normal({4, 3}, 9);
  for (const ScheduleKind schedule : kSchedules) {
    for (const Prediction kind : kPredictions) {
      const GaussianDiffusion diffusion({.schedule = schedule, .T = 30, .prediction = kind},
                                        DType::f64);
      for (const Sampler sampler : {Sampler::ddim, Sampler::ddpm, Sampler::ddpm_large}) {
        for (const int steps : {1, 7, 30}) {
          CAPTURE(name(schedule));
          CAPTURE(name(kind));
          CAPTURE(name(sampler));
          CAPTURE(steps);
          const Tensor x =
              diffusion.sample(knowing(diffusion, truth), {4, 3},
                               {.steps = steps, .sampler = sampler, .eta = 0.5}, kSeed);
          CHECK(largest_difference(x, truth) < 1e-9);
        }
      }
    }
  }
}

TEST_CASE("sampling takes the moves of its sampler, with the noise of each") {
  int T = 12;
  SUBCASE("some timesteps") {}
  SUBCASE("all timesteps") {
    T = 4;
  }
  const GaussianDiffusion diffusion({.T = T, .prediction = Prediction::x0}, DType::f64);
  const Schedule& schedule = diffusion.schedule();
  // A network whose estimate depends on the state and on t.
  const Denoise network = [](const Tensor& x, const Tensor& t) {
    return scale(x, 0.5, 0.1 * t.values<std::int32_t>()[0]);
  };
  for (const Sampler sampler : {Sampler::ddim, Sampler::ddpm, Sampler::ddpm_large}) {
    CAPTURE(name(sampler));
    const SampleOptions options{.steps = 4, .sampler = sampler, .eta = 0.7, .clip = 0.8};
    Taps taps({"x_t", "t", "x0"});
    const Tensor got = diffusion.sample(network, {2, 2}, options, kSeed);
    std::vector<double> x = normal({2, 2}, kSeed, 0).to_doubles();
    const std::vector<int> tau{T, 3 * T / 4, T / 2, T / 4, 0};
    for (std::size_t i = 0; i < 4; ++i) {
      const double at = schedule.alpha_bar[static_cast<std::size_t>(tau[i])];
      const double as = schedule.alpha_bar[static_cast<std::size_t>(tau[i + 1])];
      const std::vector<double> z = normal({2, 2}, kSeed, i + 1).to_doubles();
      const std::string step = "step." + std::to_string(i + 1) + ".";
      CHECK(taps.at(step + "t").values[0] == tau[i]);
      for (std::size_t k = 0; k < 4; ++k) {
        CHECK(taps.at(step + "x_t").values[k] == Approx(x[k]).epsilon(1e-12));
        const double x0 = std::clamp(0.5 * x[k] + 0.1 * tau[i], -0.8, 0.8);
        CHECK(taps.at(step + "x0").values[k] == Approx(x0).epsilon(1e-12));
        const double beta = 1 - at / as;
        const double small = (1 - as) / (1 - at) * beta;
        if (sampler == Sampler::ddim) {
          const double sigma = 0.7 * std::sqrt(small);
          const double noise = (x[k] - std::sqrt(at) * x0) / std::sqrt(1 - at);
          x[k] = std::sqrt(as) * x0 + std::sqrt(1 - as - sigma * sigma) * noise + sigma * z[k];
        } else {
          // Ho et al., equation 7 and algorithm 2: no noise in the last move.
          const double mean = std::sqrt(as) * beta / (1 - at) * x0 +
                              std::sqrt(at / as) * (1 - as) / (1 - at) * x[k];
          const double variance = tau[i + 1] == 0 ? 0 : sampler == Sampler::ddpm ? small : beta;
          x[k] = mean + std::sqrt(variance) * z[k];
        }
      }
    }
    for (std::size_t k = 0; k < 4; ++k) CHECK(got.to_doubles()[k] == Approx(x[k]).epsilon(1e-12));
  }
  const Tensor given = diffusion.sample(network, normal({2, 2}, kSeed), {.steps = 4}, kSeed);
  CHECK(largest_difference(given, diffusion.sample(network, {2, 2}, {.steps = 4}, kSeed)) == 0);
  // Without a limit, estimates go where they go.
  CHECK(largest_difference(
            given, diffusion.sample(network, {2, 2}, {.steps = 4, .clip = 0.1}, kSeed)) > 0.1);
}

TEST_CASE("guidance: nothing at 0, the free prediction at -1, and beyond the class above") {
  const Tensor given = normal({3, 2}, 1);
  const Tensor free = normal({3, 2}, 2);
  CHECK(largest_difference(guided(given, free, 0), given) == 0);
  CHECK(largest_difference(guided(given, free, -1), free) == 0);
  CHECK(largest_difference(guided(given, free, 1), sub(scale(given, 2), free)) < 1e-15);

  int calls = 0;
  const DenoiseClass network = [&calls](const Tensor& x, const Tensor&, const Tensor& classes) {
    ++calls;
    std::vector<double> c(classes.values<std::int32_t>().begin(),
                          classes.values<std::int32_t>().end());
    return add(x, Tensor::of({2, 1}, c, DType::f64));
  };
  const Tensor x = normal({2, 3}, 1);
  const Tensor classes = timesteps({4, 7});
  const Tensor t = timesteps({1, 1});
  CHECK(largest_difference(guide(network, classes, 10, 0)(x, t), network(x, t, classes)) == 0);
  CHECK(calls == 2);
  const Tensor two = guide(network, classes, 10, 2)(x, t);
  CHECK(calls == 4);
  for (std::size_t i = 0; i < 6; ++i) {
    const double free_value = x.to_doubles()[i] + 10;
    const double given_value = x.to_doubles()[i] + (i < 3 ? 4 : 7);
    CHECK(two.to_doubles()[i] == Approx(3 * given_value - 2 * free_value));
  }
}

TEST_CASE("guidance is the same of every prediction") {
  const Tensor x = normal({3, 2}, 1);
  const Tensor t = timesteps({2, 9, 20});
  const GaussianDiffusion diffusion({.T = 20, .prediction = Prediction::noise}, DType::f64);
  const Tensor given = normal({3, 2}, 2);
  const Tensor free = normal({3, 2}, 3);
  for (const Prediction kind : kPredictions) {
    const auto as = [&](const Tensor& said) { return diffusion.as(kind, said, x, t); };
    CHECK(largest_difference(as(guided(given, free, 1.5)), guided(as(given), as(free), 1.5)) <
          1e-8);
  }
}

TEST_CASE("classes are dropped at their rate, and by seed and step") {
  const Tensor classes = timesteps(std::vector<std::int32_t>(1000, 3));
  const auto dropped = [&](double rate, std::uint64_t step) {
    const Tensor kept = drop_classes(classes, 8, rate, kSeed, step);
    const auto values = kept.values<std::int32_t>();
    CHECK(std::ranges::count(values, 3) + std::ranges::count(values, 8) == 1000);
    return std::vector<std::int32_t>(values.begin(), values.end());
  };
  CHECK(std::ranges::count(dropped(0, 1), 8) == 0);
  CHECK(std::ranges::count(dropped(1, 1), 8) == 1000);
  CHECK(std::abs(std::ranges::count(dropped(0.2, 1), 8) - 200) < 50);
  CHECK(dropped(0.5, 1) == dropped(0.5, 1));
  CHECK(dropped(0.5, 1) != dropped(0.5, 2));
  CHECK(std::ranges::count(classes.values<std::int32_t>(), 3) == 1000);
}

TEST_CASE("what cannot be is refused, with what can") {
  const GaussianDiffusion diffusion({.T = 20}, DType::f64);
  const Tensor x = normal({2, 3}, 1);
  const Denoise same = [](const Tensor& y, const Tensor&) { return y; };
  CHECK_THROWS_WITH_AS(diffusion.noised(x, x, timesteps({1, 0})),
                       "timestep 0 is outside 1 ... T = 20", Error);
  CHECK_THROWS_WITH_AS(diffusion.as(Prediction::v, x, x, timesteps({21, 1})),
                       "timestep 21 is outside 1 ... T = 20", Error);
  CHECK_THROWS_WITH_AS(conversion(diffusion.schedule(), Prediction::x0, Prediction::noise, 0),
                       "timestep 0 is outside 1 ... T = 20", Error);
  CHECK_THROWS_WITH_AS(ddpm_move(diffusion.schedule(), 5, 5),
                       "a move from timestep 5 to 5; it has to be an earlier one", Error);
  CHECK_THROWS_WITH_AS(ddpm_move(diffusion.schedule(), 5, -1),
                       "timestep -1 is outside 0 ... T = 20", Error);
  CHECK_THROWS_AS(ddpm_move(diffusion.schedule(), 21, 1), Error);
  CHECK_THROWS_WITH_AS(ddim_move(diffusion.schedule(), 5, 4, 1.1),
                       "DDIM: eta is 1.1; choose 0 to 1", Error);
  CHECK_THROWS_AS(ddim_move(diffusion.schedule(), 5, 4, -0.1), Error);
  CHECK_THROWS_WITH_AS(diffusion.sample(same, x, {.steps = 21}, 0),
                       "21 denoising steps for T = 20 diffusion steps; choose 1 to 20", Error);
  CHECK_THROWS_WITH_AS(diffusion.sample(same, x, {.steps = 2, .clip = -1}, 0),
                       "diffusion: clip is -1; choose 0, for none, or more", Error);
  CHECK_THROWS_WITH_AS(diffusion.sample(same, Tensor(), {.steps = 2}, 0),
                       "diffusion: x_T has to be [B, ...]", Error);
  CHECK_THROWS_WITH_AS(diffusion.sample(same, Tensor::zeros({}, DType::f64), {.steps = 2}, 0),
                       "diffusion: x_T has to be [B, ...]", Error);
  CHECK_NOTHROW(diffusion.sample(same, normal({4}, 1), {.steps = 2}, 0));
  CHECK_NOTHROW(diffusion.example(normal({4}, 1), 0, 0));
  CHECK_THROWS_WITH_AS(signal_to_noise(diffusion.schedule(), 0),
                       "timestep 0 is outside 1 ... T = 20", Error);
  CHECK_THROWS_WITH_AS(diffusion.example(Tensor::zeros({}, DType::f64), 0, 0),
                       "diffusion: x0 has to be [B, ...]", Error);
  CHECK_THROWS_WITH_AS(drop_classes(timesteps({1}), 2, 1.5, 0, 0),
                       "classes are dropped at a rate of 1.5; choose 0 to 1", Error);
  CHECK_THROWS_AS(drop_classes(timesteps({1}), 2, -0.5, 0, 0), Error);
}
