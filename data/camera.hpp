// Cameras: world to camera to pixels and back, with the lens model of Human3.6M.
#pragma once

#include <Eigen/Core>
#include <Eigen/Geometry>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace posetape::data {

using Vec2 = Eigen::Vector2d;
using Vec3 = Eigen::Vector3d;

// World: right-handed, z up, metres. Camera: x right, y down, z forward, metres. Image: pixels, x
// right, y down, origin in the upper left corner.
struct Camera {
  std::string id;
  std::array<std::int32_t, 2> size{0, 0};  // width, height in pixels
  Vec2 focal = Vec2::Zero();               // pixels
  Vec2 centre = Vec2::Zero();              // principal point, pixels
  std::array<double, 3> radial{};          // k1, k2, k3
  std::array<double, 2> tangential{};      // p0, p1: p0 goes with x, p1 with y
  double mixed = 1;                        // factor of the mixed tangential terms: 1 or OpenCV's 2
  double widest = 1;                       // x/z and y/z are clamped to this much
  Eigen::Quaterniond orientation = Eigen::Quaterniond::Identity();  // camera -> world, unit
  Vec3 position = Vec3::Zero();                                     // camera centre in the world
};

Vec3 world_to_camera(const Camera& camera, const Vec3& world);
Vec3 camera_to_world(const Camera& camera, const Vec3& point);

// A point in camera space to pixels. This is Human3.6M's lens model, which is not OpenCV's: the
// tangential coefficients are stored the other way round (p0 is OpenCV's p2) and the mixed term
// has no factor 2, unless `mixed` says so. x/z and y/z are clamped to [-1, 1] (45 degrees off the
// axis) as in the data set's public loaders, because the polynomial diverges further out; other
// cameras may see more (`widest`).
Vec2 project(const Camera& camera, const Vec3& point);

// The direction (x/z, y/z) that a pixel was seen in: the inverse of project(), by fixed-point
// iteration; for lenses that bend a ray by less than a third, to 1e-9.
Vec2 ray(const Camera& camera, const Vec2& pixel);

// The direction up in camera space, unit; and the orientation of a camera that looks along
// `forward` (world, unit, not vertical), turned by `roll` radians about it, clockwise as it looks.
Vec3 up_of(const Camera& camera);
Eigen::Quaterniond looking(const Vec3& forward, double roll);

// Pixels to screen coordinates and back: x in [-1, 1], y scaled by the width as well, so that the
// aspect ratio stays. `size` is width, height in pixels.
Vec2 normalise_screen(const Vec2& pixel, const std::array<std::int32_t, 2>& size);
Vec2 denormalise_screen(const Vec2& screen, const std::array<std::int32_t, 2>& size);

// The four cameras that filmed one subject of Human3.6M, in the order of its 2D files. Throws for
// a subject whose cameras are not public.
std::vector<Camera> h36m_cameras(std::string_view subject);

// The subjects with public cameras: S1, S5, S6, S7, S8, S9, S11.
std::vector<std::string> h36m_subjects();

}  // namespace posetape::data
