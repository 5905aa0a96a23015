#include "data/camera.hpp"

#include <algorithm>
#include <cmath>

namespace posetape::data {

Vec3 world_to_camera(const Camera& camera, const Vec3& world) {
  return camera.orientation.conjugate() * (world - camera.position);
}

Vec3 camera_to_world(const Camera& camera, const Vec3& point) {
  return camera.orientation * point + camera.position;
}

namespace {

Vec2 distorted(const Camera& camera, const Vec2& xy) {
  const double r2 = xy.squaredNorm();
  const auto& k = camera.radial;
  const Vec2 p(camera.tangential[0], camera.tangential[1]);
  const double radial = 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]));
  return xy * (radial + camera.mixed * p.dot(xy)) + p * r2;
}

}  // namespace

Vec2 project(const Camera& camera, const Vec3& point) {
  const double widest = camera.widest;
  const Vec2 xy(std::clamp(point.x() / point.z(), -widest, widest),
                std::clamp(point.y() / point.z(), -widest, widest));
  return camera.focal.cwiseProduct(distorted(camera, xy)) + camera.centre;
}

Vec2 ray(const Camera& camera, const Vec2& pixel) {
  const Vec2 seen = (pixel - camera.centre).cwiseQuotient(camera.focal);
  Vec2 xy = seen;
  for (int i = 0; i < 100; ++i) {
    const Vec2 off = seen - distorted(camera, xy);
    xy += off;
    if (off.squaredNorm() < 1e-24) break;
  }
  return xy;
}

Vec3 up_of(const Camera& camera) {
  return camera.orientation.conjugate() * Vec3::UnitZ();
}

Eigen::Quaterniond looking(const Vec3& forward, double roll) {
  const Vec3 right = forward.cross(Vec3::UnitZ()).normalized();
  const Vec3 down = forward.cross(right);
  Eigen::Matrix3d axes;
  axes << std::cos(roll) * right + std::sin(roll) * down,
      std::cos(roll) * down - std::sin(roll) * right, forward;
  return Eigen::Quaterniond(axes);
}

Vec2 normalise_screen(const Vec2& pixel, const std::array<std::int32_t, 2>& size) {
  const double w = size[0];
  const double h = size[1];
  return {pixel.x() * 2 / w - 1, pixel.y() * 2 / w - h / w};
}

Vec2 denormalise_screen(const Vec2& screen, const std::array<std::int32_t, 2>& size) {
  const double w = size[0];
  const double h = size[1];
  return {(screen.x() + 1) * w / 2, (screen.y() + h / w) * w / 2};
}

}  // namespace posetape::data
