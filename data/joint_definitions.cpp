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

// From one to the other, given the head's axis and its front.
Vec3 step(const Place& from, const Place& to, const Vec3& up, const Vec3& front) {
  return (to.up - from.up) * up + (to.front - from.front) * front;
}

Pose3 redefined(const Pose3& pose, JointDefinitions definitions, HeadPoints points, double middle) {
  using namespace joint;
  Pose3 out = pose;
  out[hip] = 0.5 * (pose[left_hip] + pose[right_hip]);
  out[thorax] = 0.5 * (pose[left_shoulder] + pose[right_shoulder]);
  out[spine] = 0.5 * (out[hip] + out[thorax]);
  const bool has_nose = points != HeadPoints::joints;
  const Vec3 up = direction(pose[head] - (has_nose ? out[thorax] : pose[neck]), Vec3::UnitZ());
  const Vec3 left = direction(pose[left_shoulder] - pose[right_shoulder], Vec3::UnitX());
  const Vec3 front = direction(left.cross(up), Vec3::UnitY());
  const bool top = definitions == JointDefinitions::keypoints_top;
  if (has_nose) {
    if (points == (top ? HeadPoints::nose_and_top : HeadPoints::nose_and_eyes)) return out;
    out[head] = pose[neck] + step(kNose, top ? kTop : kEyes, up, front);
    return out;
  }
  const Vec3 centre = pose[neck] + middle * (pose[head] - pose[neck]);
  out[neck] = centre + step({0, 0}, kNose, up, front);
  out[head] = centre + step({0, 0}, top ? kTop : kEyes, up, front);
  return out;
}

}  // namespace

Motion with_joints(Motion motion, JointDefinitions definitions, double middle) {
  if (definitions != JointDefinitions::keypoints &&
      definitions != JointDefinitions::keypoints_top) {
    return motion;
  }
  for (Pose3& pose : motion.frames) pose = redefined(pose, definitions, motion.head, middle);
  return motion;
}

}  // namespace posetape::data
