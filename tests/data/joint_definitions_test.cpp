#include "data/joint_definitions.hpp"

#include <doctest/doctest.h>

#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

using namespace joint;

// Somebody who faces -y (x is to their left), with a skeleton like CMU's.
Motion standing() {
  Pose3 pose;
  pose.fill(Vec3(0, 0, 1));
  pose[hip] = {0, 0, 1.0};
  pose[left_hip] = {0.1, 0, 0.9};
  pose[right_hip] = {-0.1, 0, 0.9};
  pose[left_shoulder] = {0.2, 0, 1.4};
  pose[right_shoulder] = {-0.2, 0, 1.4};
  pose[thorax] = {0, 0, 1.25};
  pose[neck] = {0, 0, 1.5};
  pose[head] = {0, 0, 1.6};
  return {"P", "stand", 50, {pose, pose}};
}

TEST_CASE("joints: a skeleton's own stay untouched") {
  const Motion motion = standing();
  CHECK(with_joints(motion, JointDefinitions::skeleton, 1).frames == motion.frames);
}

TEST_CASE("joints: keypoints' definitions") {
  const Motion motion = standing();
  const Pose3& source = motion.frames[0];
  const Pose3 pose = with_joints(motion, JointDefinitions::keypoints, 1).frames[1];
  CHECK((pose[hip] - Vec3(0, 0, 0.9)).norm() < 1e-12);
  CHECK((pose[thorax] - Vec3(0, 0, 1.4)).norm() < 1e-12);
  CHECK((pose[spine] - Vec3(0, 0, 1.15)).norm() < 1e-12);
  // The nose is in front of the head, the eyes above it and a little behind.
  CHECK(pose[neck].y() == doctest::Approx(-0.11));
  CHECK(pose[neck].z() < pose[head].z());
  CHECK(pose[head].y() < -0.05);
  CHECK(pose[head].y() > pose[neck].y());
  for (const int j : {left_hip, right_hip, left_shoulder, right_shoulder, left_knee, right_wrist})
    CHECK(pose[j] == source[j]);
  const Pose3 top = with_joints(motion, JointDefinitions::keypoints_top, 1).frames[0];
  CHECK(top[neck] == pose[neck]);
  CHECK((top[head] - Vec3(0, 0, 1.72)).norm() < 1e-12);
  // A head whose end is its top has its middle half way.
  const Pose3 half = with_joints(motion, JointDefinitions::keypoints_top, 0.5).frames[0];
  CHECK((half[head] - Vec3(0, 0, 1.67)).norm() < 1e-12);
}

TEST_CASE("joints: a pose whose joints are all in one place has definitions, too") {
  Motion motion = standing();
  motion.frames[0].fill(Vec3::Zero());
  const Pose3 pose = with_joints(motion, JointDefinitions::keypoints, 1).frames[0];
  for (const Vec3& p : pose) CHECK(p.allFinite());
}

}  // namespace
}  // namespace posetape::data
