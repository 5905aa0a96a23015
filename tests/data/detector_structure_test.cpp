#include "data/detector_structure.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "data/detector_events.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "tests/data/files.hpp"

namespace posetape::data {
namespace {

using namespace joint;
using enum DetectorPart;

constexpr double kFps = 50;

// Somebody 1000 pixels in size who stands still for so long.
PoseArray standing(int frames) {
  PoseArray poses{2, {}};
  std::array<std::array<float, 2>, kJoints> pose{};
  for (const Bone& bone : kBones) {
    pose[std::size_t(bone.child)] = pose[std::size_t(bone.parent)];
    const bool left = std::ranges::count(kLeftJoints, bone.child) > 0;
    const bool right = std::ranges::count(kRightJoints, bone.child) > 0;
    const bool leg = bone.child <= left_foot;
    pose[std::size_t(bone.child)][0] += left ? 37.5f : right ? -37.5f : 0.0f;
    pose[std::size_t(bone.child)][1] += leg ? 50.0f : left || right ? 50.0f : -62.5f;
  }
  for (int f = 0; f < frames; ++f) {
    for (const auto& p : pose) poses.values.insert(poses.values.end(), p.begin(), p.end());
  }
  return poses;
}

DetectorStructure only(std::initializer_list<DetectorPart> parts) {
  DetectorStructure detector = openpose_structure();
  detector.parts = {};
  for (const DetectorPart part : parts) detector.parts[std::size_t(part)] = true;
  return detector;
}

// Mean distance from the truth of one joint, as a share of the size.
double level(const PoseArray& truth, const PoseArray& seen, int j) {
  const double size = person_sizes(truth)[0];
  double sum = 0;
  for (int f = 0; f < truth.frames(); ++f) {
    sum += std::hypot(seen.frame(f)[2 * j] - truth.frame(f)[2 * j],
                      seen.frame(f)[2 * j + 1] - truth.frame(f)[2 * j + 1]);
  }
  return sum / truth.frames() / size;
}

TEST_CASE("detector structure: no part, no error") {
  const PoseArray truth = standing(100);
  const Detections seen = detect(truth, kFps, only({}), 1, 2);
  CHECK(seen.poses.values == truth.values);
  CHECK(seen.confidence.empty());
}

TEST_CASE("detector structure: the four parts of the error have the level of each joint") {
  // Many clips, for a bias is one draw in each.
  for (const auto& structure : {openpose_structure(), mediapipe_structure()}) {
    DetectorStructure detector = structure;
    detector.parts = only({bias, slow, jitter, common}).parts;
    const PoseArray truth = standing(100);
    for (const int j : {hip, left_knee, right_foot, right_wrist, head}) {
      double sum = 0;
      for (std::uint64_t s = 0; s < 300; ++s)
        sum += level(truth, detect(truth, kFps, detector, 1, s).poses, j);
      CHECK(sum / 300 == doctest::Approx(detector.level[std::size_t(j)]).epsilon(0.06));
    }
  }
}

TEST_CASE("detector structure: a part draws the same whatever else is switched on") {
  const PoseArray truth = standing(200);
  const auto moved = [&](std::initializer_list<DetectorPart> parts) {
    return detect(truth, kFps, only(parts), 7, 3).poses.values;
  };
  const auto one = moved({bias}), other = moved({slow}), both = moved({bias, slow});
  for (std::size_t i = 0; i < both.size(); ++i) {
    CHECK(both[i] - truth.values[i] ==
          doctest::Approx(one[i] - truth.values[i] + other[i] - truth.values[i]).epsilon(1e-3));
  }
  CHECK(moved({bias}) == one);
  CHECK(detect(truth, kFps, only({bias}), 7, 4).poses.values != one);
}

TEST_CASE("detector structure: bias is constant, a common shift is that of all joints") {
  const PoseArray truth = standing(50);
  const PoseArray biased = detect(truth, kFps, only({bias}), 1, 1).poses;
  for (int f = 1; f < 50; ++f)
    for (int i = 0; i < 2 * kJoints; ++i) CHECK(biased.frame(f)[i] == biased.frame(0)[i]);
  DetectorStructure detector = only({common});
  detector.level.fill(0.01);
  const PoseArray shifted = detect(truth, kFps, detector, 1, 1).poses;
  for (int f = 0; f < 50; ++f) {
    const float x = shifted.frame(f)[0] - truth.frame(f)[0];
    for (int j = 0; j < kJoints; ++j)
      CHECK(shifted.frame(f)[2 * j] - truth.frame(f)[2 * j] == doctest::Approx(x).epsilon(1e-3));
  }
}

// Mean product of a joint's errors a time apart, over their mean square.
double correlation(const PoseArray& truth, const PoseArray& seen, int lag) {
  double products = 0, squares = 0;
  for (int f = 0; f + lag < truth.frames(); ++f) {
    for (int i = 0; i < 2 * kJoints; ++i) {
      const double a = seen.frame(f)[i] - truth.frame(f)[i];
      products += a * (seen.frame(f + lag)[i] - truth.frame(f + lag)[i]);
      squares += a * a;
    }
  }
  return products / squares;
}

TEST_CASE("detector structure: errors hang together as those of real detectors") {
  const PoseArray truth = standing(20000);
  const PoseArray seen = detect(truth, kFps, only({slow, jitter, common}), 1, 1).poses;
  CHECK(correlation(truth, seen, 1) == doctest::Approx(0.87).epsilon(0.05));
  // 0.2 to 0.5 after 0.4 s.
  CHECK(correlation(truth, seen, 20) > 0.2);
  CHECK(correlation(truth, seen, 20) < 0.5);
}

TEST_CASE("detector structure: events, and how often") {
  const int frames = 100000;
  const PoseArray truth = standing(frames);
  const auto share = [&](DetectorPart part, auto happens) {
    const PoseArray seen = detect(truth, kFps, only({part}), 1, 1).poses;
    int count = 0;
    for (int f = 0; f < frames; ++f) count += happens(seen.frame(f));
    return static_cast<double>(count) / frames;
  };
  const auto same = [](const float* p, int a, int b) {
    return p[2 * a] == p[2 * b] && p[2 * a + 1] == p[2 * b + 1];
  };
  const double collapsed = share(collapse, [&](const float* p) {
    return same(p, left_knee, right_knee) && same(p, left_foot, right_foot);
  });
  CHECK(collapsed == doctest::Approx(0.015).epsilon(0.25));
  const double turned = share(turn, [&](const float* p) {
    const float* q = truth.frame(0);
    return p[2 * left_hip] == q[2 * right_hip] && p[2 * left_wrist] == q[2 * right_wrist];
  });
  CHECK(turned == doctest::Approx(0.007).epsilon(0.3));
  const double lost = share(
      outage, [&](const float* p) { return p[2 * left_wrist] != truth.frame(0)[2 * left_wrist]; });
  CHECK(lost == doctest::Approx(0.006).epsilon(0.35));
}

TEST_CASE("detector structure: missing joints have confidence 0 and are bridged") {
  const int frames = 20000;
  PoseArray truth = standing(frames);
  for (int f = 0; f < frames; ++f)  // moving evenly, so that a bridge is exact
    for (int j = 0; j < kJoints; ++j) truth.frame(f)[2 * j] += 0.01f * static_cast<float>(f);
  const Detections seen = detect(truth, kFps, only({missing}), 1, 1);
  REQUIRE(seen.confidence.size() == std::size_t(frames) * kJoints);
  int none = 0, run = 0, longest = 0;
  for (int f = 0; f < frames; ++f) {
    const bool lost = seen.confidence[std::size_t(f) * kJoints + right_foot] == 0;
    run = lost ? run + 1 : 0;
    longest = std::max(longest, run);
    for (int j = 0; j < kJoints; ++j)
      none += seen.confidence[std::size_t(f) * kJoints + std::size_t(j)] == 0;
  }
  CHECK(longest <= 25);
  CHECK(static_cast<double>(none) / frames / kJoints == doctest::Approx(0.05).epsilon(0.2));
  for (int f = 1; f + 1 < frames; ++f)
    CHECK(seen.poses.frame(f)[2 * right_foot] ==
          doctest::Approx(truth.frame(f)[2 * right_foot]).epsilon(0.01));
}

TEST_CASE("detector structure: at one frame a second a joint is missing in one frame at most") {
  const Detections seen = detect(standing(2000), 1, only({missing}), 1, 1);
  int lost = 0;
  for (std::size_t i = 0; i + kJoints < seen.confidence.size(); ++i) {
    lost += seen.confidence[i] == 0;
    CHECK_FALSE((seen.confidence[i] == 0 && seen.confidence[i + kJoints] == 0));
  }
  CHECK(lost > 100);
}

TEST_CASE(
    "detector structure: confidence falls where a joint is found elsewhere, and not in a turn") {
  const PoseArray truth = standing(20000);
  const auto mean_where = [&](DetectorPart part, bool moved) {
    const Detections seen = detect(truth, kFps, only({part, confidence}), 1, 1);
    double sum = 0;
    int count = 0;
    for (int f = 0; f < truth.frames(); ++f) {
      if ((seen.poses.frame(f)[2 * left_wrist] != truth.frame(f)[2 * left_wrist]) != moved)
        continue;
      sum += seen.confidence[std::size_t(f) * kJoints + left_wrist];
      ++count;
    }
    return sum / count;
  };
  const double sure = openpose_structure().confidence_level;
  CHECK(mean_where(outage, false) == doctest::Approx(sure).epsilon(0.01));
  CHECK(mean_where(outage, true) < sure - 0.2);
  CHECK(mean_where(turn, true) == doctest::Approx(sure).epsilon(0.02));
}

TEST_CASE("detector structure: hips are too far out and up") {
  const PoseArray truth = standing(1);
  const PoseArray seen = detect(truth, kFps, only({hips}), 1, 1).poses;
  CHECK(seen.frame(0)[2 * left_hip] > truth.frame(0)[2 * left_hip]);
  CHECK(seen.frame(0)[2 * right_hip] < truth.frame(0)[2 * right_hip]);
  CHECK(seen.frame(0)[2 * left_hip + 1] < truth.frame(0)[2 * left_hip + 1]);
  CHECK(seen.frame(0)[2 * hip + 1] < truth.frame(0)[2 * hip + 1]);
  CHECK(seen.frame(0)[2 * left_knee] == truth.frame(0)[2 * left_knee]);
}

TEST_CASE("detector structure: wrong use is refused") {
  CHECK_MESSAGE_PARTS(detect(PoseArray{3, std::vector<float>(51)}, 50, only({}), 1, 1), "channels");
  CHECK_MESSAGE_PARTS(detect(standing(1), 0, only({}), 1, 1), "frame rate");
}

}  // namespace
}  // namespace posetape::data
