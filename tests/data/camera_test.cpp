#include "data/camera.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/error.hpp"
#include "engine/rng.hpp"

namespace posetape::data {
namespace {

// World point (metres), the same in camera space, and its pixel: computed with the public loaders'
// formulas, independently of this code.
struct Vector {
  const char* subject;
  int camera;
  Vec3 world, local;
  Vec2 pixel;
};

TEST_CASE("camera: world to camera to pixel agrees with known points") {
  const Vector vectors[] = {
      {"S1", 0, {0, 0, 1}, {-.320303, -.435265, 5.288662}, {443.3168, 421.4839}},
      {"S9", 3, {.3, -.2, .9}, {.342096, -.405022, 4.163775}, {608.7874, 390.8305}},
      {"S11", 2, {-.5, .4, 1.5}, {1.004684, -1.103495, 4.672149}, {762.6247, 234.8948}},
  };
  for (const Vector& v : vectors) {
    CAPTURE(v.subject);
    const Camera camera = h36m_cameras(v.subject)[v.camera];
    const Vec3 local = world_to_camera(camera, v.world);
    CHECK((local - v.local).cwiseAbs().maxCoeff() < 1e-6);
    CHECK((project(camera, local) - v.pixel).cwiseAbs().maxCoeff() < 1e-4);
    CHECK((camera_to_world(camera, local) - v.world).norm() < 1e-6);
  }
}

TEST_CASE("camera: a point far off the axis is clamped to 45 degrees") {
  Camera camera;
  camera.focal = {100, 200};
  camera.centre = {50, 60};
  CHECK(project(camera, {5, -3, 1}) == Vec2(150, -140));
  CHECK(project(camera, {-5, 3, 1}) == Vec2(-50, 260));
  CHECK(project(camera, {0.5, 0.25, 1}) == Vec2(100, 110));
  // One coefficient at a time: x = 0.5, y = 0.25, so r2 = 0.3125.
  camera.radial = {1, 0, 0};
  CHECK(project(camera, {0.5, 0.25, 1}).x() == doctest::Approx(50 + 100 * 0.5 * 1.3125));
  camera.radial = {0, 0, 0};
  camera.tangential = {0.1, 0};
  const Vec2 p0 = project(camera, {0.5, 0.25, 1});
  CHECK(p0.x() == doctest::Approx(50 + 100 * (0.5 * 1.05 + 0.03125)));
  CHECK(p0.y() == doctest::Approx(60 + 200 * 0.25 * 1.05));
  camera.tangential = {0, 0.1};
  const Vec2 p1 = project(camera, {0.5, 0.25, 1});
  CHECK(p1.x() == doctest::Approx(50 + 100 * 0.5 * 1.025));
  CHECK(p1.y() == doctest::Approx(60 + 200 * (0.25 * 1.025 + 0.03125)));
}

// The lens with all coefficients at once, term by term: radial factor 1 + k1 r^2 + k2 r^4 + k3 r^6,
// tangential factor p0 x + p1 y, and p r^2.
TEST_CASE("camera: points anywhere in view come through lens and rotation as the formulas say") {
  Random random(4, Stream::test);
  for (int i = 0; i < 50; ++i) {
    Camera camera;
    camera.focal = {random.uniform(500, 1500), random.uniform(500, 1500)};
    camera.centre = {random.uniform(400, 600), random.uniform(400, 600)};
    for (double& k : camera.radial) k = random.uniform(-0.3, 0.3);
    for (double& p : camera.tangential) p = random.uniform(-0.1, 0.1);
    const double q[] = {random.normal(), random.normal(), random.normal(), random.normal()};
    camera.orientation = Eigen::Quaterniond(q[0], q[1], q[2], q[3]).normalized();
    camera.position = {random.normal(), random.normal(), random.normal()};
    const Vec3 point(random.uniform(-2, 2), random.uniform(-2, 2), random.uniform(2, 6));

    const double x = point.x() / point.z();
    const double y = point.y() / point.z();
    const double r2 = x * x + y * y;
    const double k = camera.radial[0] * r2 + camera.radial[1] * std::pow(r2, 2) +
                     camera.radial[2] * std::pow(r2, 3);
    const auto [p0, p1] = camera.tangential;
    const double factor = 1 + k + p0 * x + p1 * y;
    const Vec2 pixel = project(camera, point);
    CHECK(pixel.x() ==
          doctest::Approx(camera.focal.x() * (x * factor + p0 * r2) + camera.centre.x()));
    CHECK(pixel.y() ==
          doctest::Approx(camera.focal.y() * (y * factor + p1 * r2) + camera.centre.y()));

    // The rotation of a unit quaternion w + x i + y j + z k, written out.
    const auto n = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    const double w = q[0] / n, a = q[1] / n, b = q[2] / n, c = q[3] / n;
    Eigen::Matrix3d r;
    r << 1 - 2 * (b * b + c * c), 2 * (a * b - w * c), 2 * (a * c + w * b),  //
        2 * (a * b + w * c), 1 - 2 * (a * a + c * c), 2 * (b * c - w * a),   //
        2 * (a * c - w * b), 2 * (b * c + w * a), 1 - 2 * (a * a + b * b);
    const Vec3 world = r * point + camera.position;
    CHECK((camera_to_world(camera, point) - world).norm() < 1e-12);
    CHECK((world_to_camera(camera, world) - point).norm() < 1e-12);
  }
}

TEST_CASE("camera: screen coordinates divide both axes by the width, and back") {
  const std::array<std::int32_t, 2> size{1000, 1002};
  const Vec2 screen = normalise_screen({443.3168, 421.4839}, size);
  CHECK(screen.x() == doctest::Approx(-.1134).epsilon(0.001));
  CHECK(screen.y() == doctest::Approx(-.1590).epsilon(0.001));
  CHECK(normalise_screen({500, 501}, size).norm() < 1e-12);
  CHECK((denormalise_screen(screen, size) - Vec2(443.3168, 421.4839)).norm() < 1e-9);
}

TEST_CASE("camera: every rig stands upright around the same place") {
  CHECK(h36m_subjects().size() == 7);
  for (const auto& subject : h36m_subjects()) {
    const auto rig = h36m_cameras(subject);
    REQUIRE(rig.size() == 4);
    for (const Camera& camera : rig) {
      CAPTURE(subject + " " + camera.id);
      CHECK(std::abs(camera.orientation.norm() - 1) < 1e-6);
      // y points down, and a person in the middle is seen 3 to 7 m away inside the image.
      CHECK((camera.orientation * Vec3::UnitY()).z() < -0.95);
      const Vec3 local = world_to_camera(camera, {0, 0.4, 1});
      CHECK(local.z() > 3);
      CHECK(local.z() < 7);
      const Vec2 pixel = project(camera, local);
      CHECK(pixel.minCoeff() > 300);
      CHECK(pixel.maxCoeff() < 700);
    }
  }
  CHECK_THROWS_WITH_AS(h36m_cameras("S2"), doctest::Contains("S2"), Error);
}

}  // namespace
}  // namespace posetape::data
