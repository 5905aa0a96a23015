#include "data/motion.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/skeleton.hpp"
#include "engine/error.hpp"
#include "engine/rng.hpp"

namespace posetape::data {
namespace {

// All joints at one place that moves; joint j is j cm higher.
template <class Path>
Motion moving(int frames, double fps, Path path) {
  Motion motion{"S", "clip", fps, {}};
  for (int f = 0; f < frames; ++f) {
    Pose3 pose;
    for (int j = 0; j < kJoints; ++j) pose[j] = path(f / fps) + Vec3(0, 0, 0.01 * j);
    motion.frames.push_back(pose);
  }
  return motion;
}

TEST_CASE("motion: y up becomes z up by a rotation") {
  CHECK(y_up_to_z_up({1, 2, 3}) == Vec3(1, -3, 2));
  const Vec3 x = y_up_to_z_up(Vec3::UnitX());
  const Vec3 y = y_up_to_z_up(Vec3::UnitY());
  CHECK(x.cross(y) == y_up_to_z_up(Vec3::UnitZ()));
}

TEST_CASE("motion: resampling keeps the time of every frame") {
  // A parabola is reproduced exactly inside the clip and nearly so in its first and last step.
  const auto path = [](double t) { return Vec3(1 + 2 * t, 3 - t * t, 0.5 * t * t); };
  const Motion source = moving(121, 120, path);
  const Motion slow = resample(source, 50);
  CHECK(slow.fps == 50);
  REQUIRE(slow.frames.size() == 51);  // 0 to 1 s
  for (int f = 0; f < 51; ++f) {
    CAPTURE(f);
    const double tolerance = f == 0 || f == 50 ? 1e-12 : f == 1 || f == 49 ? 1e-4 : 1e-12;
    CHECK((slow.frames[f][0] - path(f / 50.0)).norm() < tolerance);
    CHECK((slow.frames[f][5] - slow.frames[f][0] - Vec3(0, 0, 0.05)).norm() < 1e-12);
  }
  CHECK(resample(moving(120, 120, path), 50).frames.size() == 50);  // 0 to 0.98 s
  CHECK(resample(moving(1, 120, path), 50).frames.size() == 1);

  const Motion fast = resample(source, 240);
  REQUIRE(fast.frames.size() == 241);
  CHECK((fast.frames[101][0] - path(101 / 240.0)).norm() < 1e-12);
}

TEST_CASE("motion: a sine comes through resampling with an error of its fourth order") {
  // 3 Hz with 0.3 m, a fast hand: Catmull-Rom at 120 fps leaves less than 0.1 mm.
  const auto path = [](double t) { return Vec3(0.3 * std::sin(6 * 3.14159265 * t), 0, 0); };
  const Motion slow = resample(moving(241, 120, path), 50);
  double worst = 0;
  for (std::size_t f = 2; f + 2 < slow.frames.size(); ++f) {
    worst = std::max(worst, (slow.frames[f][0] - path(static_cast<double>(f) / 50)).norm());
  }
  CHECK(worst < 1e-3);
  CHECK(worst > 1e-7);  // it did interpolate
}

TEST_CASE("motion: between two frames is the cubic of Catmull and Rom, in every joint") {
  // Catmull and Rom (1974) in Hermite's form: the tangent at a frame is half the way from the frame
  // before it to the one after it; beyond an end the frames go on in a straight line.
  for (const auto& [from, to] :
       {std::pair(120.0, 50.0), {30.0, 50.0}, {50.0, 49.0}, {24.0, 60.0}}) {
    Random random(3, Stream::test);
    Motion source{"S", "clip", from, std::vector<Pose3>(13)};
    for (Pose3& pose : source.frames) {
      for (Vec3& p : pose) p = {random.normal(), random.normal(), random.normal()};
    }
    const Motion result = resample(source, to);
    const auto at = [&](int frame, int j) -> Vec3 {
      const auto point = [&](int f) { return source.frames[std::size_t(f)][std::size_t(j)]; };
      if (frame < 0) return 2 * point(0) - point(1);
      if (frame > 12) return 2 * point(12) - point(11);
      return point(frame);
    };
    REQUIRE(result.frames.size() == std::size_t(12 / from * to + 1e-9) + 1);
    for (std::size_t f = 0; f < result.frames.size(); ++f) {
      const double position = double(f) / to * from;
      const int i = std::min(int(position + 1e-9), 12);
      const double t = position - i;
      for (int j = 0; j < kJoints; ++j) {
        const Vec3 begin = 0.5 * (at(i + 1, j) - at(i - 1, j));
        const Vec3 end = 0.5 * (at(i + 2, j) - at(i, j));
        const Vec3 expected =
            (2 * t * t * t - 3 * t * t + 1) * at(i, j) + (t * t * t - 2 * t * t + t) * begin +
            (3 * t * t - 2 * t * t * t) * at(i + 1, j) + (t * t * t - t * t) * end;
        CAPTURE(f);
        CHECK((result.frames[f][std::size_t(j)] - expected).norm() < 1e-12);
      }
    }
  }
}

TEST_CASE("motion: no resampling where the rates are equal, and none at rate 0") {
  const auto path = [](double t) { return Vec3(std::sin(40 * t), 0, 0); };
  const Motion source = moving(10, 50, path);
  CHECK(resample(source, 50).frames == source.frames);
  CHECK_THROWS_WITH_AS(resample(source, 0), doctest::Contains("S/clip"), Error);
  Motion still = source;
  still.fps = 0;
  CHECK_THROWS_AS(resample(still, 50), Error);
  CHECK(resample(source, 0.5).frames.size() == 1);
}

TEST_CASE("motion: the rig's centre is where its axes meet") {
  const auto rig = h36m_cameras("S1");
  const Vec2 centre = capture_centre(rig);
  CHECK(centre.x() == doctest::Approx(-0.050).epsilon(0.02));
  CHECK(centre.y() == doctest::Approx(0.408).epsilon(0.01));
  for (const Camera& camera : rig) {
    // Seen close to the middle column by all of them.
    const Vec3 local = world_to_camera(camera, {centre.x(), centre.y(), 1});
    CHECK(std::abs(local.x() / local.z()) < 0.1);
  }
  CHECK_THROWS_AS(capture_centre(std::span(rig).first(1)), Error);
}

TEST_CASE("motion: the centre has the least distances to the axes, squared, seen from above") {
  Random random(5, Stream::test);
  std::vector<Camera> rig(3);
  for (Camera& camera : rig) {
    camera.position = {random.normal(), random.normal(), random.normal()};
    camera.orientation =
        Eigen::Quaterniond(random.normal(), random.normal(), random.normal(), random.normal())
            .normalized();
  }
  const auto distances = [&](const Vec2& point) {
    double sum = 0;
    for (const Camera& camera : rig) {
      const Vec3 axis = camera_to_world(camera, {0, 0, 1}) - camera.position;
      const Vec2 from = point - camera.position.head<2>();
      const double cross = axis.x() * from.y() - axis.y() * from.x();
      sum += cross * cross / axis.head<2>().squaredNorm();
    }
    return sum;
  };
  const Vec2 centre = capture_centre(rig);
  for (const Vec2& step : {Vec2(1e-3, 0), Vec2(-1e-3, 0), Vec2(0, 1e-3), Vec2(0, -1e-3)}) {
    CHECK(distances(centre + step) > distances(centre));
  }
}

TEST_CASE("motion: placing moves the box of the hip's path to the centre and nothing else") {
  const auto path = [](double t) { return Vec3(4 + t, 7 - 3 * t, 0.9); };
  const Motion source = moving(51, 50, path);
  const Motion placed = place(source, {0.5, -0.25});
  CHECK((placed.frames[0][0] - Vec3(0, 1.25, 0.9)).norm() < 1e-12);
  CHECK((placed.frames[50][0] - Vec3(1, -1.75, 0.9)).norm() < 1e-12);
  const Vec3 shift = placed.frames[0][0] - source.frames[0][0];
  CHECK(shift.z() == 0);
  CHECK((placed.frames[20][13] - source.frames[20][13] - shift).norm() < 1e-12);
}

TEST_CASE("motion: the box is that of the whole path, of the hip alone") {
  Motion motion = moving(51, 50, [](double t) { return Vec3(std::sin(6 * t), t * (1 - t), 1); });
  for (Pose3& pose : motion.frames) {
    for (std::size_t j = 1; j < kJoints; ++j) pose[j].x() += 100;
  }
  motion = place(motion, {3, -2});
  const auto range = [&](int axis) {
    std::vector<double> values;
    for (const Pose3& pose : motion.frames) values.push_back(pose[0][axis]);
    return std::ranges::minmax(values);
  };
  CHECK((range(0).min + range(0).max) / 2 == doctest::Approx(3));
  CHECK((range(1).min + range(1).max) / 2 == doctest::Approx(-2));
  CHECK(range(0).max - range(0).min == doctest::Approx(2).epsilon(0.01));
}

TEST_CASE("motion: filming gives camera space, pixels, names and sizes") {
  const Camera camera = h36m_cameras("S1")[0];
  const Motion motion = moving(3, 50, [](double t) { return Vec3(t, 0, 1); });
  const Sequence sequence = film(motion, camera, "0");
  CHECK(sequence.name == "S/clip/0");
  CHECK(sequence.image_size == std::array<std::int32_t, 2>{1000, 1002});
  CHECK(sequence.fps == 50.0f);
  REQUIRE(sequence.frames() == 3);
  REQUIRE(sequence.pose_3d.has_value());
  REQUIRE(sequence.pose_3d->frames() == 3);
  CHECK(sequence.pose_2d.frame(0)[0] == doctest::Approx(443.3168));
  CHECK(sequence.pose_2d.frame(0)[1] == doctest::Approx(421.4839));
  CHECK(sequence.pose_3d->frame(0)[2] == doctest::Approx(5.288662));
  // Every joint is absolute: joint 10 is 10 cm higher in the world, not near the origin.
  const Vec3 head = world_to_camera(camera, {0.04, 0, 1.1});
  for (int c = 0; c < 3; ++c) CHECK(sequence.pose_3d->frame(2)[30 + c] == doctest::Approx(head[c]));

  CHECK(film(moving(1, 30, [](double) { return Vec3(0, 0, 1); }), camera, "0").fps == 30.0f);
  const Motion behind = moving(1, 50, [&](double) { return camera.position; });
  CHECK_THROWS_WITH_AS(film(behind, camera, "0"), doctest::Contains("S/clip/0"), Error);
}

}  // namespace
}  // namespace posetape::data
