#include "data/motion.hpp"

#include <Eigen/LU>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/error.hpp"

namespace posetape::data {

Motion resample(Motion motion, double fps) {
  if (!(fps > 0) || !(motion.fps > 0)) {
    fail("resample {}/{}: frame rates must be above 0, not {} to {}", motion.subject, motion.name,
         motion.fps, fps);
  }
  const auto& source = motion.frames;
  if (motion.fps == fps || source.empty()) return motion;

  const double step = motion.fps / fps;
  const auto last = static_cast<double>(source.size() - 1);
  // The slack keeps the last frame where the division is exact but for rounding.
  const auto count = static_cast<std::size_t>(std::floor(last / step + 1e-9)) + 1;
  std::vector<Pose3> frames(count);
  for (std::size_t f = 0; f < count; ++f) {
    const double position = std::min(static_cast<double>(f) * step, last);
    const std::size_t i = std::min(static_cast<std::size_t>(position), source.size() - 1);
    const double t = position - static_cast<double>(i);
    if (t == 0) {
      frames[f] = source[i];
      continue;
    }
    for (int j = 0; j < kJoints; ++j) {
      const Vec3& b = source[i][j];
      const Vec3& c = source[i + 1][j];
      // Joints are moved one by one, which bones hardly notice: in the 106 CMU trials from 120 to
      // 50 fps a constant bone changes by less than 0.1 mm in 99.9 % of cases, 1.5 mm at most.
      // Beyond the ends the motion goes on in a straight line.
      const Vec3 a = i > 0 ? source[i - 1][j] : Vec3(2 * b - c);
      const Vec3 d = i + 2 < source.size() ? source[i + 2][j] : Vec3(2 * c - b);
      frames[f][j] = catmull_rom(a, b, c, d, t);
    }
  }
  motion.frames = std::move(frames);
  motion.fps = fps;
  return motion;
}

void hip_to_midpoint(std::vector<Pose3>& frames) {
  for (Pose3& pose : frames) pose[0] = 0.5 * (pose[1] + pose[4]);
}

Vec2 capture_centre(std::span<const Camera> rig) {
  Eigen::Matrix2d normals = Eigen::Matrix2d::Zero();
  Vec2 offsets = Vec2::Zero();
  for (const Camera& camera : rig) {
    const Vec3 axis = camera.orientation * Vec3::UnitZ();
    const Vec2 normal = Vec2(-axis.y(), axis.x()).normalized();
    normals += normal * normal.transpose();
    offsets += normal * normal.dot(camera.position.head<2>());
  }
  if (normals.determinant() < 1e-6) {
    fail(
        "capture_centre: the axes of {} cameras do not cross; two that look in different "
        "directions are needed",
        rig.size());
  }
  return normals.inverse() * offsets;
}

// Measured with prepare_cmu and the gt detector on 106 CMU trials at 50 fps and the rig of S1: the
// hip's path fits a box of at most 2.4 x 5.5 m whose long side lies along the rig's y, the
// direction in which the rig is deepest, so that no clip has to be split or turned. 0.17 % of the
// projected joints fall outside the image (no trial above 5 %), and the hip is 1.9 to 8.5 m from
// the cameras. The mean of the path instead of the middle of its box gives 0.18 % and 1.5 to 9.3 m.
Motion place(Motion motion, const Vec2& centre) {
  if (motion.frames.empty()) return motion;
  Vec2 low = motion.frames[0][0].head<2>();
  Vec2 high = low;
  for (const Pose3& pose : motion.frames) {
    low = low.cwiseMin(pose[0].head<2>());
    high = high.cwiseMax(pose[0].head<2>());
  }
  Vec3 shift = Vec3::Zero();
  shift.head<2>() = centre - 0.5 * (low + high);
  for (Pose3& pose : motion.frames) {
    for (Vec3& p : pose) p += shift;
  }
  return motion;
}

Sequence film(const Motion& motion, const Camera& camera, const std::string& camera_name) {
  constexpr double kNear = 0.1;  // metres
  Sequence sequence;
  sequence.name = fmt::format("{}/{}/{}", motion.subject, motion.name, camera_name);
  sequence.image_size = camera.size;
  sequence.fps = static_cast<float>(motion.fps);
  PoseArray pixels{2, {}};
  PoseArray points{3, {}};
  pixels.values.reserve(motion.frames.size() * kJoints * 2);
  points.values.reserve(motion.frames.size() * kJoints * 3);
  for (std::size_t f = 0; f < motion.frames.size(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      const Vec3 point = world_to_camera(camera, motion.frames[f][j]);
      if (!(point.z() > kNear)) {
        fail(
            "{}: joint {} of frame {} is {:.2f} m in front of the camera; the clip does not fit "
            "the capture volume",
            sequence.name, j, f, point.z());
      }
      const Vec2 pixel = project(camera, point);
      for (int c = 0; c < 2; ++c) pixels.values.push_back(static_cast<float>(pixel[c]));
      for (int c = 0; c < 3; ++c) points.values.push_back(static_cast<float>(point[c]));
    }
  }
  sequence.pose_2d = std::move(pixels);
  sequence.pose_3d = std::move(points);
  return sequence;
}

}  // namespace posetape::data
