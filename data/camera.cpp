#include "data/camera.hpp"

#include <algorithm>

namespace posetape::data {

Vec3 world_to_camera(const Camera& camera, const Vec3& world) {
  return camera.orientation.conjugate() * (world - camera.position);
}

Vec3 camera_to_world(const Camera& camera, const Vec3& point) {
  return camera.orientation * point + camera.position;
}

Vec2 project(const Camera& camera, const Vec3& point) {
  const Vec2 xy(std::clamp(point.x() / point.z(), -1.0, 1.0),
                std::clamp(point.y() / point.z(), -1.0, 1.0));
  const double r2 = xy.squaredNorm();
  const auto& k = camera.radial;
  const Vec2 p(camera.tangential[0], camera.tangential[1]);
  const double radial = 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]));
  const Vec2 distorted = xy * (radial + p.dot(xy)) + p * r2;
  return camera.focal.cwiseProduct(distorted) + camera.centre;
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
