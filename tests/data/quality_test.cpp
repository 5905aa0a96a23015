#include "data/quality.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "data/skeleton.hpp"
#include "tests/data/poses.hpp"

using namespace posetape;
using namespace posetape::data;

namespace {

using doctest::Approx;

// One pose, moved by offset(frame, joint, coordinate).
template <class F>
PoseArray moved(int frames, F offset) {
  const PoseArray still = test::random_poses(1, 3, 0, 5);
  PoseArray poses{3, {}};
  for (int f = 0; f < frames; ++f) {
    for (int j = 0; j < kJoints; ++j) {
      for (int c = 0; c < 3; ++c) {
        poses.values.push_back(
            static_cast<float>(double{still.frame(0)[3 * j + c]} + offset(f, j, c)));
      }
    }
  }
  return poses;
}

}  // namespace

TEST_CASE("a pose that stands still has no jitter, no speed and bones of one length") {
  const Quality q = quality(moved(20, [](int, int, int) { return 0; }), 50);
  CHECK(q.jitter == 0);
  CHECK(q.peak_speed == 0);
  CHECK(q.bone_spread == Approx(0).epsilon(1e-6));
  CHECK(q.turn_rounds == 0);
}

TEST_CASE("jitter is in frames of 1/50 s, speed in metres a second") {
  // x = a t^2 for all joints but the first: the second difference is 2 a / fps^2.
  for (const double fps : {25.0, 50.0, 120.0}) {
    const auto poses = moved(40, [&](int f, int j, int c) {
      const double t = f / fps;
      return j > 0 && c == 0 ? 3 * t * t : 0.0;
    });
    CHECK(quality(poses, fps).jitter == Approx(1000 * 2 * 3 / (50.0 * 50)).epsilon(1e-3));
    CHECK(quality(poses, fps).foot_jitter == Approx(1000 * 2 * 3 / (50.0 * 50)).epsilon(1e-3));
  }
  const auto one_foot = moved(40, [](int f, int j, int c) {
    return (j == joint::left_foot || j == joint::head) && c == 2 ? 0.001 * f * f : 0.0;
  });
  CHECK(quality(one_foot, 50).jitter == Approx(2 * 2.0 / 16).epsilon(1e-3));
  CHECK(quality(one_foot, 50).foot_jitter == Approx(2.0 / 2).epsilon(1e-3));
  const auto steady =
      moved(40, [](int f, int j, int c) { return j > 0 && c == 1 ? 0.01 * f : 0.0; });
  CHECK(quality(steady, 50).peak_speed == Approx(0.5).epsilon(1e-3));
  CHECK(quality(steady, 100).peak_speed == Approx(1).epsilon(1e-3));
}

TEST_CASE("bones that swing by a tenth have that spread") {
  PoseArray poses{3, {}};
  const PoseArray still = test::random_poses(1, 3, 0, 5);
  for (int f = 0; f < 40; ++f) {
    for (const float v : still.values) poses.values.push_back(v * (f % 2 == 0 ? 0.9F : 1.1F));
  }
  CHECK(quality(poses, 50).bone_spread == Approx(10).epsilon(1e-3));
}

TEST_CASE("who turns round at once is counted, who turns is not") {
  // The person turns by `angle(f)` about the vertical.
  const auto turning = [](auto angle) {
    const PoseArray still = test::random_poses(1, 3, 0, 5);
    PoseArray poses{3, {}};
    for (int f = 0; f < 100; ++f) {
      const double c = std::cos(angle(f)), s = std::sin(angle(f));
      for (int j = 0; j < kJoints; ++j) {
        // Hip joints to either side, whatever the random pose has.
        const double x = j == 1 ? -0.1 : j == 4 ? 0.1 : double{still.frame(0)[3 * j]};
        const double z = j == 1 || j == 4 ? 0 : double{still.frame(0)[3 * j + 2]};
        poses.values.push_back(static_cast<float>(c * x + s * z));
        poses.values.push_back(j == 1 || j == 4 ? 0 : still.frame(0)[3 * j + 1]);
        poses.values.push_back(static_cast<float>(c * z - s * x));
      }
    }
    return quality(poses, 50).turn_rounds;
  };
  const double pi = std::acos(-1.0);
  CHECK(turning([&](int f) { return 2 * pi * f / 50; }) == 0);  // a dancer's turn in a second
  CHECK(turning([&](int f) { return f < 50 ? 0 : pi; }) == 1);
  CHECK(turning([&](int f) { return f < 30 || f > 70 ? 0 : pi; }) == 2);
}

TEST_CASE("guessed joints are those of confidence 0") {
  Sequence s = test::random_sequence("a/b/0", 10, 3);
  CHECK(guessed_share(s) == -1);
  s.confidence.emplace(10 * kJoints, 0.5F);
  for (std::size_t i = 0; i < 17; ++i) (*s.confidence)[3 * i] = 0;
  CHECK(guessed_share(s) == Approx(10));
}
