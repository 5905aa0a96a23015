#include "data/random_camera.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/synthetic.hpp"
#include "engine/error.hpp"
#include "tests/data/files.hpp"

namespace posetape::data {
namespace {

Motion walk() {
  const auto motions = synthetic_motions({.subjects = 1, .takes = 1, .seconds = 2});
  return place(motions.front(), Vec2::Zero());
}

// Degrees, of the optical axis against the horizon, and of the horizon in the picture.
double pitch(const Camera& camera) {
  return std::asin((camera.orientation * Vec3::UnitZ()).z()) * 180 / std::numbers::pi;
}
double roll(const Camera& camera) {
  const Vec3 up = up_of(camera);
  return std::atan2(-up.x(), -up.y()) * 180 / std::numbers::pi;
}

TEST_CASE("random cameras keep to their ranges, and fill them") {
  const Motion motion = walk();
  const CameraRanges ranges;
  std::vector<double> heights, pitches, rolls, views;
  int portrait = 0, in_picture = 0, all = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Camera camera = random_camera(motion, Random(seed, Stream::camera));
    const double longer = std::max(camera.size[0], camera.size[1]);
    heights.push_back(camera.position.z());
    pitches.push_back(pitch(camera));
    rolls.push_back(roll(camera));
    views.push_back(2 * std::atan(longer / 2 / camera.focal.x()) * 180 / std::numbers::pi);
    portrait += camera.size[1] > camera.size[0];
    for (const Pose3& pose : motion.frames) {
      for (const Vec3& p : pose) {
        const Vec3 local = world_to_camera(camera, p);
        CHECK(local.z() >= ranges.nearest);
        const Vec2 pixel = project(camera, local);
        in_picture +=
            pixel.minCoeff() >= 0 && pixel.x() < camera.size[0] && pixel.y() < camera.size[1];
        ++all;
      }
    }
  }
  const auto within = [](std::vector<double>& values, double low, double high, double filled) {
    const auto [least, most] = std::ranges::minmax(values);
    CHECK(least >= low - 1e-6);
    CHECK(most <= high + 1e-6);
    CHECK(most - least >= filled * (high - low));
  };
  within(heights, ranges.lowest, ranges.highest, 0.9);
  within(pitches, ranges.pitch_down, ranges.pitch_up, 0.7);
  within(rolls, -ranges.roll - 1, ranges.roll + 1, 0.8);
  within(views, ranges.narrowest, ranges.widest, 0.9);
  CHECK(portrait > 60);
  CHECK(portrait < 150);
  CHECK(in_picture >= 0.97 * all);
}

TEST_CASE("a random camera hangs on its seed and the motion alone") {
  const Motion motion = walk();
  const Camera a = random_camera(motion, Random(1, Stream::camera));
  const Camera b = random_camera(motion, Random(1, Stream::camera));
  const Camera c = random_camera(motion, Random(2, Stream::camera));
  CHECK(a.position == b.position);
  CHECK(a.focal == b.focal);
  CHECK(a.position != c.position);
}

TEST_CASE("a clip that no camera can take in is refused") {
  Motion motion = walk();
  CameraRanges ranges;
  ranges.nearest = 1e6;
  CHECK_MESSAGE_PARTS(random_camera(motion, Random(1, Stream::camera), ranges), "walk_1",
                      "cut it into shorter clips");
  motion.frames.clear();
  CHECK_MESSAGE_PARTS(random_camera(motion, Random(1, Stream::camera)), "has no frame");
}

}  // namespace
}  // namespace posetape::data
