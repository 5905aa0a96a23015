#include "diffusion/schedule.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>

#include "engine/error.hpp"
#include "tests/diffusion/reference.hpp"

using namespace posetape;
using namespace posetape::diffusion;
using doctest::Approx;

namespace {

// Expected values come from 50-digit decimal arithmetic, straight from the papers' formulas.
struct Known {
  int t;
  double alpha_bar;
};

void check_known(const Schedule& schedule, std::initializer_list<Known> known) {
  for (const Known& k : known) {
    CAPTURE(k.t);
    CHECK(schedule.alpha_bar[static_cast<std::size_t>(k.t)] == Approx(k.alpha_bar).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("alpha_bar of each schedule at T = 50 is the published one") {
  check_known(make_schedule(ScheduleKind::cosine, 50), {{1, 9.982524864661345528e-1},
                                                        {10, 8.987059205995088890e-1},
                                                        {25, 4.938435904406377133e-1},
                                                        {49, 9.711930298712445633e-4},
                                                        {50, 9.711930298712445633e-7}});
  check_known(make_schedule(ScheduleKind::linear, 50), {{1, 9.98e-1},
                                                        {10, 6.729505834497074867e-1},
                                                        {25, 6.908898306207269512e-2},
                                                        {49, 1.290794283204456218e-5},
                                                        {50, 7.744765699226737310e-6}});
  check_known(make_schedule(ScheduleKind::sigmoid, 50), {{1, 9.936747784714356422e-1},
                                                         {10, 8.956798609037933456e-1},
                                                         {25, 0.5},
                                                         {49, 6.325221528564357752e-3},
                                                         {50, 6.325221528564357752e-6}});
}

TEST_CASE("alpha_bar is the formula's at every t, for any T") {
  for (const auto kind : {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::sigmoid}) {
    for (const int T : {1, 2, 3, 10, 50, 1000}) {
      const reference::Numbers expected = reference::alpha_bar(name(kind), T);
      const Schedule schedule = make_schedule(kind, T);
      CHECK(schedule.kind == kind);
      CHECK(schedule.T == T);
      REQUIRE(schedule.alpha_bar.size() == expected.size());
      for (std::size_t t = 0; t < expected.size(); ++t) {
        CAPTURE(name(kind));
        CAPTURE(T);
        CAPTURE(t);
        CHECK(std::fabs(schedule.alpha_bar[t] / expected[t] - 1) < 1e-10);
      }
    }
  }
}

TEST_CASE("a single step leaves a thousandth of alpha_bar, whatever the schedule") {
  for (const auto kind : {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::sigmoid}) {
    CHECK(std::fabs(make_schedule(kind, 1).alpha_bar[1] / 1e-3 - 1) < 1e-12);
  }
}

TEST_CASE("every schedule falls strictly from 1 and stays above 0") {
  for (const auto kind : {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::sigmoid}) {
    for (const int T : {1, 2, 10, 50, 1000}) {
      CAPTURE(name(kind));
      CAPTURE(T);
      const Schedule schedule = make_schedule(kind, T);
      REQUIRE(schedule.alpha_bar.size() == static_cast<std::size_t>(T) + 1);
      CHECK(schedule.alpha_bar[0] == 1);
      for (std::size_t t = 1; t < schedule.alpha_bar.size(); ++t) {
        CHECK(schedule.alpha_bar[t] < schedule.alpha_bar[t - 1]);
        // The clip: a step keeps a thousandth at least.
        CHECK(schedule.alpha_bar[t] >= 0.000999 * schedule.alpha_bar[t - 1]);
      }
      CHECK(schedule.alpha_bar.back() > 0);
    }
  }
}

TEST_CASE("schedules are parsed by the name they print") {
  for (const auto kind : {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::sigmoid}) {
    CHECK(parse<ScheduleKind>(name(kind)) == kind);
  }
  CHECK(std::string(name(make_schedule(ScheduleKind::sigmoid, 5).kind)) == "sigmoid");
  CHECK_THROWS_WITH_AS(
      parse<ScheduleKind>("Cosine"),
      "noise schedule \"Cosine\" is unknown; choose one of: cosine, linear, sigmoid", Error);
}

TEST_CASE("the two halves of a coefficient") {
  const Schedule schedule = make_schedule(ScheduleKind::cosine, 50);
  for (int t = 0; t <= 50; ++t) {
    const double a = schedule.sqrt_alpha_bar(t);
    const double s = schedule.sqrt_one_minus(t);
    CHECK(a * a == Approx(schedule.alpha_bar[static_cast<std::size_t>(t)]).epsilon(1e-14));
    CHECK(a * a + s * s == Approx(1).epsilon(1e-14));
    CHECK(schedule.forward(t).x0 == a);
    CHECK(schedule.forward(t).noise == s);
  }
}

TEST_CASE("with the true error, DDIM inverts the forward process at every pair of steps") {
  constexpr double x0 = 0.37;
  constexpr double e = -0.113;
  const auto x_at = [&](const Schedule& schedule, int t) {
    const auto c = schedule.forward(t);
    return c.x0 * x0 + c.noise * (x0 + e);
  };
  for (const auto kind : {ScheduleKind::cosine, ScheduleKind::linear, ScheduleKind::sigmoid}) {
    const Schedule schedule = make_schedule(kind, 50);
    for (int k = 1; k <= 50; ++k) {
      const auto back = schedule.predict_x0(k);
      const double x0_hat = back.x * x_at(schedule, k) + back.e * e;
      CHECK(x0_hat == Approx(x0).epsilon(1e-14));
      for (int j = 0; j < k; ++j) {
        const auto step = schedule.step_to(j);
        CHECK(step.x0 * x0_hat + step.e * e == Approx(x_at(schedule, j)).epsilon(1e-14));
      }
    }
  }
}

TEST_CASE("one step of inference returns the estimate of x0 itself") {
  const Schedule schedule = make_schedule(ScheduleKind::cosine, 50);
  const auto steps = ddim_steps(50, 1);
  const auto last = schedule.step_to(steps.back());
  CHECK(last.x0 == 1);
  CHECK(last.e == 0);
}

TEST_CASE("at T almost nothing but the noisy pose is left") {
  const Schedule schedule = make_schedule(ScheduleKind::cosine, 50);
  const auto c = schedule.forward(50);
  // alpha_bar_T is 9.7e-7, so a thousandth of x0 is left beside x0 + e.
  CHECK(c.x0 < 1e-3);
  CHECK(c.x0 * 0.4 + c.noise * (0.4 + 0.1) == Approx(0.4 + 0.1).epsilon(1e-3));
}

TEST_CASE("timesteps of inference are evenly spaced") {
  CHECK(ddim_steps(50, 1) == std::vector{50, 0});
  CHECK(ddim_steps(50, 2) == std::vector{50, 25, 0});
  CHECK(ddim_steps(50, 3) == std::vector{50, 33, 17, 0});
  CHECK(ddim_steps(50, 4) == std::vector{50, 38, 25, 13, 0});
  CHECK(ddim_steps(1, 1) == std::vector{1, 0});
  CHECK(ddim_steps(4, 4) == std::vector{4, 3, 2, 1, 0});
  for (int T = 1; T <= 60; ++T) {
    for (int K = 1; K <= T; ++K) {
      const auto steps = ddim_steps(T, K);
      CHECK(steps == reference::ddim_steps(T, K));
      REQUIRE(steps.size() == static_cast<std::size_t>(K) + 1);
      CHECK(steps.front() == T);
      CHECK(steps.back() == 0);
      for (std::size_t i = 1; i < steps.size(); ++i) {
        const int gap = steps[i - 1] - steps[i];
        CHECK(gap >= T / K);
        CHECK(gap <= (T + K - 1) / K);
      }
    }
  }
}

TEST_CASE("schedules refuse what cannot be") {
  CHECK_THROWS_WITH_AS(make_schedule(ScheduleKind::cosine, 0),
                       "a noise schedule needs T >= 1 diffusion steps, 0 given", Error);
  CHECK_THROWS_WITH_AS(ddim_steps(50, 51),
                       "51 denoising steps for T = 50 diffusion steps; choose 1 to 50", Error);
  CHECK_THROWS_AS(ddim_steps(50, 0), Error);
  const Schedule schedule = make_schedule(ScheduleKind::cosine, 50);
  CHECK_THROWS_WITH_AS(schedule.forward(51), "timestep 51 is outside 0 ... T = 50", Error);
  CHECK_THROWS_AS(schedule.predict_x0(-1), Error);
}
