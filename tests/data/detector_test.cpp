#include "data/detector.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/camera.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

// A standing person facing the camera, summed bone length 800 px times `scale`.
PoseArray standing(int frames, double scale) {
  constexpr float kPose[kJoints][2] = {{0, 0},     {-29, 0},   {-29, 97}, {-29, 192}, {29, 0},
                                       {29, 97},   {29, 192},  {0, -51},  {0, -106},  {0, -131},
                                       {0, -156},  {33, -103}, {33, -42}, {33, 12},   {-33, -103},
                                       {-33, -42}, {-33, 12}};
  double sum = 0;
  for (const Bone& b : kBones) {
    sum +=
        std::hypot(kPose[b.child][0] - kPose[b.parent][0], kPose[b.child][1] - kPose[b.parent][1]);
  }
  const double factor = 800 / sum * scale;
  PoseArray poses{2, {}};
  for (int f = 0; f < frames; ++f) {
    for (const auto& p : kPose) {
      for (const float x : p) poses.values.push_back(static_cast<float>(500 + factor * x));
    }
  }
  return poses;
}

Random draw(std::uint64_t seed) {
  return Random(seed, Stream::detector, 7);
}

DetectorModel without_events() {
  DetectorModel model;
  model.swaps_per_second = 0;
  model.outages_per_second = 0;
  return model;
}

// Errors of one joint, [frames][2].
std::vector<Vec2> errors_of(const PoseArray& truth, const PoseArray& found, int j) {
  std::vector<Vec2> errors;
  for (int f = 0; f < truth.frames(); ++f) {
    errors.emplace_back(found.frame(f)[2 * j] - truth.frame(f)[2 * j],
                        found.frame(f)[2 * j + 1] - truth.frame(f)[2 * j + 1]);
  }
  return errors;
}

double mean_error(const PoseArray& truth, const PoseArray& found, int j) {
  double sum = 0;
  for (const Vec2& e : errors_of(truth, found, j)) sum += e.norm();
  return sum / truth.frames();
}

TEST_CASE("detector: mean errors are those of the model and of a fine-tuned CPN") {
  using namespace joint;
  const PoseArray truth = standing(100000, 1);
  const DetectorModel model;
  const PoseArray plain = detect(truth, 50, without_events(), draw(1));
  const PoseArray full = detect(truth, 50, model, draw(1));
  double mean = 0;
  for (int j = 0; j < kJoints; ++j) {
    CAPTURE(j);
    CHECK(mean_error(truth, plain, j) == doctest::Approx(800 * model.mean_error[j]).epsilon(0.05));
    mean += mean_error(truth, full, j) / kJoints;
  }
  CHECK(mean > 5);
  CHECK(mean < 8);
  const double hips = mean_error(truth, full, left_hip);
  for (const int j : {left_wrist, right_wrist, left_foot, right_foot}) {
    CHECK(mean_error(truth, full, j) > 1.6 * hips);
    CHECK(mean_error(truth, full, j) < 3 * hips);
  }
}

TEST_CASE("detector: errors scale with the person's size in the image") {
  const DetectorModel model = without_events();
  const PoseArray near = standing(2000, 1);
  const PoseArray far = standing(2000, 0.5);
  const PoseArray found_near = detect(near, 50, model, draw(2));
  const PoseArray found_far = detect(far, 50, model, draw(2));
  for (int j = 0; j < kJoints; ++j) {
    CHECK(mean_error(far, found_far, j) ==
          doctest::Approx(0.5 * mean_error(near, found_near, j)).epsilon(0.001));
  }
}

TEST_CASE("detector: errors are correlated over time, by the clock and not by the frame") {
  const PoseArray truth = standing(100000, 1);
  // Signs are free of the heavy tail: for Gaussian processes of correlation r the signs have
  // (2 / pi) asin(r), and the t's denominator is positive.
  const auto sign_correlation = [&](double fps, int lag) {
    const auto e = errors_of(truth, detect(truth, fps, without_events(), draw(3)), 13);
    double sum = 0;
    for (std::size_t f = 0; f + lag < e.size(); ++f) {
      sum += (e[f].x() > 0) == (e[f + lag].x() > 0) ? 1 : -1;
    }
    return sum / static_cast<double>(e.size() - lag);
  };
  const auto expected = [](double seconds) {
    return 2 / std::acos(-1.0) * std::asin(std::exp(-seconds / 0.25));
  };
  CHECK(sign_correlation(50, 1) == doctest::Approx(expected(0.02)).epsilon(0.03));
  CHECK(sign_correlation(50, 10) == doctest::Approx(expected(0.20)).epsilon(0.12));
  CHECK(sign_correlation(100, 20) == doctest::Approx(expected(0.20)).epsilon(0.15));
  CHECK(std::abs(sign_correlation(50, 200)) < 0.05);
}

TEST_CASE("detector: tails are those of Student's t, far above a Gaussian's") {
  const PoseArray truth = standing(200000, 1);
  const auto errors = errors_of(truth, detect(truth, 50, without_events(), draw(4)), 13);
  std::vector<double> sizes;
  for (const Vec2& e : errors) sizes.push_back(std::abs(e.x()));
  std::ranges::sort(sizes);
  const auto quantile = [&](double p) {
    return sizes[static_cast<std::size_t>(p * static_cast<double>(sizes.size()))];
  };
  // |t| with 5 degrees of freedom: quantiles 0.727 (50 %) and 6.869 (99.9 %); |Gaussian|: ratio
  // 4.88.
  CHECK(quantile(0.999) / quantile(0.5) == doctest::Approx(6.869 / 0.727).epsilon(0.2));
  CHECK(quantile(0.999) / quantile(0.5) > 1.4 * 4.88);
}

TEST_CASE("detector: swaps change the sides of a limb for a moment") {
  using namespace joint;
  DetectorModel model = without_events();
  model.mean_error.fill(0);
  model.swaps_per_second = 0.5;
  const PoseArray truth = standing(100000, 1);
  const PoseArray found = detect(truth, 50, model, draw(5));
  int swapped = 0;
  int events = 0;
  bool before = false;
  for (int f = 0; f < truth.frames(); ++f) {
    const float* a = truth.frame(f);
    const float* b = found.frame(f);
    const bool now = b[2 * left_wrist] != a[2 * left_wrist];
    if (now) {
      CHECK(b[2 * left_wrist] == a[2 * right_wrist]);
      CHECK(b[2 * left_shoulder] == a[2 * right_shoulder]);
      CHECK(b[2 * right_elbow] == a[2 * left_elbow]);
    }
    CHECK(b[2 * head] == a[2 * head]);
    swapped += now;
    events += now && !before;
    before = now;
  }
  // 2000 s at 0.5 per second of unswapped time, 0.15 s each.
  CHECK(events == doctest::Approx(930).epsilon(0.1));
  CHECK(swapped / (50.0 * events) == doctest::Approx(0.145).epsilon(0.1));
}

TEST_CASE("detector: an outage displaces one joint by a constant for a moment") {
  DetectorModel model = without_events();
  model.mean_error.fill(0);
  model.outages_per_second = 0.3;
  const PoseArray truth = standing(50000, 1);
  const auto wrist = errors_of(truth, detect(truth, 50, model, draw(6)), 13);
  const auto hip = errors_of(truth, detect(truth, 50, model, draw(6)), 0);
  const auto lost = [](const std::vector<Vec2>& errors) {
    return std::ranges::count_if(errors, [](const Vec2& e) { return e.norm() > 0; });
  };
  CHECK(lost(wrist) == doctest::Approx(50000 * 0.3 * 0.115).epsilon(0.2));
  CHECK(lost(hip) < 0.5 * static_cast<double>(lost(wrist)));
  int constant = 0;
  for (std::size_t f = 1; f < wrist.size(); ++f) {
    if (wrist[f].norm() == 0) continue;
    CHECK(wrist[f].norm() > 800 * model.outage_near - 0.01);
    CHECK(wrist[f].norm() < 800 * model.outage_far + 0.01);
    constant += wrist[f] == wrist[f - 1];
  }
  CHECK(constant > 0.6 * static_cast<double>(lost(wrist)));
}

TEST_CASE("detector: the same stream gives the same detections, another one others") {
  const PoseArray truth = standing(200, 1);
  const auto first = detect(truth, 50, {}, draw(8));
  CHECK(first.values == detect(truth, 50, {}, draw(8)).values);
  CHECK(first.values != detect(truth, 50, {}, draw(9)).values);
  CHECK(first.values != detect(truth, 50, {}, Random(8, Stream::detector, 8)).values);
  for (const float value : first.values) CHECK(std::isfinite(value));
}

TEST_CASE("detector: wrong input is refused") {
  const PoseArray truth = standing(2, 1);
  CHECK_THROWS_AS(detect(PoseArray{3, std::vector<float>(51)}, 50, {}, draw(1)), Error);
  CHECK_THROWS_AS(detect(truth, 0, {}, draw(1)), Error);
  DetectorModel model;
  model.degrees_of_freedom = 2;
  CHECK_THROWS_AS(detect(truth, 50, model, draw(1)), Error);
}

}  // namespace
}  // namespace posetape::data
