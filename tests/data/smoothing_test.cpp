#include "data/smoothing.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "tests/data/files.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

using doctest::Approx;

// Poses whose coordinate i in frame f is value(f) + i / 64.
template <class F>
PoseArray motion(int frames, F value) {
  PoseArray poses{3, {}};
  for (int f = 0; f < frames; ++f) {
    for (int i = 0; i < 51; ++i) poses.values.push_back(static_cast<float>(value(f) + i / 64.0));
  }
  return poses;
}

double largest_difference(const PoseArray& a, const PoseArray& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    largest = std::max(largest, double{std::abs(a.values[i] - b.values[i])});
  }
  return a.values.size() == b.values.size() ? largest : INFINITY;
}

}  // namespace

TEST_CASE("Savitzky-Golay leaves polynomials of its degree as they are, at both ends too") {
  for (int degree = 0; degree <= 4; ++degree) {
    const PoseArray poses = motion(40, [&](int f) { return std::pow((f - 20) / 20.0, degree); });
    for (const int window : {5, 7, 13, 39}) {
      CAPTURE(degree);
      CAPTURE(window);
      CHECK(largest_difference(savitzky_golay(poses, window, degree), poses) < 1e-6);
      if (degree > 0) {
        CHECK(largest_difference(savitzky_golay(poses, window, degree - 1), poses) > 1e-5);
      }
    }
  }
}

TEST_CASE("Savitzky-Golay weights of frames that are there: whole, one-sided and too few") {
  const auto check = [](const std::vector<double>& weights, const std::vector<double>& expected) {
    REQUIRE(weights.size() == expected.size());
    for (std::size_t k = 0; k < weights.size(); ++k) {
      CHECK(weights[k] == Approx(expected[k]).epsilon(1e-9));
    }
  };
  check(savitzky_golay_weights(2, 2, 2), {-3 / 35.0, 12 / 35.0, 17 / 35.0, 12 / 35.0, -3 / 35.0});
  check(savitzky_golay_weights(2, 0, 1), {-1 / 6.0, 2 / 6.0, 5 / 6.0});
  check(savitzky_golay_weights(0, 0, 4), {1});
  // Through all of them.
  check(savitzky_golay_weights(1, 0, 4), {0, 1});
  for (int after = 0; after <= 4; ++after) {
    const std::vector<double> weights = savitzky_golay_weights(4, after, 3);
    for (int degree = 0; degree <= 3; ++degree) {
      double sum = 0;
      for (int k = -4; k <= after; ++k) {
        sum += weights[std::size_t(k + 4)] * std::pow(k + 1, degree);
      }
      CHECK(sum == Approx(1));
    }
  }
  CHECK_MESSAGE_PARTS(savitzky_golay_weights(-1, 2, 1), "-1 frames before");
}

TEST_CASE("Savitzky-Golay has the published weights") {
  // The impulse response is the weights: (-3, 12, 17, 12, -3) / 35 for five frames and degree 2.
  const PoseArray impulse = motion(11, [](int f) { return f == 5 ? 1 : 0; });
  const PoseArray smooth = savitzky_golay(impulse, 5, 2);
  const std::array<double, 5> expected{-3, 12, 17, 12, -3};
  for (int k = 0; k < 5; ++k) {
    CHECK(smooth.frame(3 + k)[0] == Approx(expected[std::size_t(k)] / 35).epsilon(1e-5));
  }
  CHECK(smooth.frame(2)[0] == Approx(0).epsilon(1e-6));
  // Degree 0 is the moving mean.
  CHECK(savitzky_golay(impulse, 5, 0).frame(4)[0] == Approx(0.2).epsilon(1e-5));
}

TEST_CASE("a clip shorter than the window is fitted as a whole") {
  for (const int frames : {1, 2, 3}) {
    const PoseArray poses = random_poses(frames, 3, 0, 7);
    CHECK(largest_difference(savitzky_golay(poses, 13, 2), poses) < 1e-6);
  }
  const PoseArray four = motion(4, [](int f) { return f * f; });
  CHECK(largest_difference(savitzky_golay(four, 13, 2), four) < 1e-5);
  CHECK(savitzky_golay(four, 13, 0).frame(3)[0] == Approx(3.5));
}

TEST_CASE("the 1 Euro filter answers a step as an exponential mean does where beta is 0") {
  const double fps = 50, cutoff = 2;
  const PoseArray step = motion(30, [](int f) { return f == 0 ? 0 : 1; });
  const PoseArray smooth = one_euro(step, fps, {cutoff, 0, 1});
  const double factor = 1 / (1 + fps / (2 * std::numbers::pi * cutoff));
  for (int f = 0; f < 30; ++f) {
    CHECK(smooth.frame(f)[0] == Approx(1 - std::pow(1 - factor, f)).epsilon(1e-5));
  }
}

TEST_CASE("the 1 Euro filter opens with speed") {
  // v jumps to a(1) 50 in the first frame after the step, and the cut-off with it.
  const PoseArray step = motion(3, [](int f) { return f == 0 ? 0 : 1; });
  const auto factor = [](double cutoff) { return 1 / (1 + 50 / (2 * std::numbers::pi * cutoff)); };
  const double first = factor(1 + 0.5 * factor(1) * 50);
  CHECK(one_euro(step, 50, {1, 0.5, 1}).frame(1)[0] == Approx(first).epsilon(1e-5));
  CHECK(first > 2 * factor(1));
  // Steady motion of v m/s: the lag settles at v / fps (1 / a - 1) behind the input.
  const PoseArray ramp = motion(400, [](int f) { return 2 * f / 50.0; });
  const double slow = ramp.frame(399)[0] - one_euro(ramp, 50, {1, 0, 1}).frame(399)[0];
  CHECK(slow == Approx(2 / 50.0 * (1 / factor(1) - 1)).epsilon(1e-4));
  CHECK(ramp.frame(399)[0] - one_euro(ramp, 50, {1, 10, 1}).frame(399)[0] < slow / 5);
}

TEST_CASE("filters that mean nothing are refused") {
  const PoseArray poses = random_poses(5, 3, 0, 1);
  CHECK_MESSAGE_PARTS(savitzky_golay(poses, 4, 2), "4 frames", "odd");
  CHECK_MESSAGE_PARTS(savitzky_golay(poses, 5, 5), "degree 5", "below");
  CHECK_MESSAGE_PARTS(one_euro(poses, 0, {}), "0 fps", "above zero");
  CHECK_MESSAGE_PARTS(one_euro(poses, 50, {0, 0, 1}), "0 and 1 Hz");
  CHECK_MESSAGE_PARTS(one_euro(poses, 50, {1, -1, 1}), "beta -1");
}

TEST_CASE("a filter's window lasts equally long at every frame rate") {
  const Filter filter;
  for (const auto& [fps, frames] :
       {std::pair{50.0, 9}, {60.0, 11}, {120.0, 21}, {30.0, 5}, {25.0, 5}, {0.5, 5}}) {
    CHECK(filter.window_at(fps) == frames);
  }
  CHECK(Filter{.degree = 1}.window_at(1) == 3);
  CHECK(Filter{.degree = 4}.window_at(1) == 7);
  CHECK(Filter{.window = 5}.window_at(50) == 5);

  const PoseArray poses = random_poses(60, 3, 0, 7);
  CHECK(filter(poses, 50).values == savitzky_golay(poses, 9, 2).values);
  CHECK(Filter{.window = 7, .degree = 3}(poses, 50).values == savitzky_golay(poses, 7, 3).values);
  CHECK(Filter{.kind = FilterKind::none}(poses, 50).values == poses.values);
  CHECK(Filter{.kind = FilterKind::one_euro}(poses, 50).values == one_euro(poses, 50, {}).values);
  CHECK_THROWS_AS((Filter{.window = 1}(poses, 50)), Error);
}
