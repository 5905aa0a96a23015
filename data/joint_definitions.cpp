#include "data/joint_definitions.hpp"

#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

// From the middle of the head, metres: along its axis, and to the front.
struct Place {
  double up, front;
};
constexpr Place kNose{-0.02, 0.11};
constexpr Place kEyes{0.02, 0.09};
constexpr Place kTop{0.12, 0};

Vec3 direction(const Vec3& v, const Vec3& otherwise) {
  return v.norm() > 1e-6 ? Vec3(v.normalized()) : otherwise;
}

Pose3 redefined(const Pose3& pose, JointDefinitions definitions, double middle) {
  using namespace joint;
  Pose3 out = pose;
  out[hip] = 0.5 * (pose[left_hip] + pose[right_hip]);
  out[thorax] = 0.5 * (pose[left_shoulder] + pose[right_shoulder]);
  out[spine] = 0.5 * (out[hip] + out[thorax]);
  const Vec3 up = direction(pose[head] - pose[neck], Vec3::UnitZ());
  const Vec3 left = direction(pose[left_shoulder] - pose[right_shoulder], Vec3::UnitX());
  const Vec3 front = direction(left.cross(up), Vec3::UnitY());
  const Vec3 centre = pose[neck] + middle * (pose[head] - pose[neck]);
  const auto at = [&](const Place& place) {
    return Vec3(centre + place.up * up + place.front * front);
  };
  out[neck] = at(kNose);
  out[head] = at(definitions == JointDefinitions::keypoints_top ? kTop : kEyes);
  return out;
}

}  // namespace

Motion with_joints(Motion motion, JointDefinitions definitions, double middle) {
  if (definitions != JointDefinitions::keypoints &&
      definitions != JointDefinitions::keypoints_top) {
    return motion;
  }
  for (Pose3& pose : motion.frames) pose = redefined(pose, definitions, middle);
  return motion;
}

}  // namespace posetape::data
