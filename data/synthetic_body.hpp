// The puppet behind synthetic motion: a body of fixed bone lengths, posed by a few controls.
#pragma once

#include <array>

#include "data/motion.hpp"
#include "engine/rng.hpp"

namespace posetape::data {

// Bone lengths in metres, equal left and right, and the manner of moving.
struct Body {
  double hip_half_width, thigh, shin;
  double lower_spine, upper_spine, neck, head;
  double shoulder_half_width, upper_arm, forearm;
  double ankle_height;  // of the ankle joint above the floor when standing

  double tempo;       // of everything, 1 on average
  double stride;      // step length
  double arm_swing;   // amplitude
  double elbow_bend;  // radians, at rest
  double lean;        // radians, habitual forward lean
  double stance;      // metres, from the middle line to a foot
  double bounce;      // vertical movement of the hips in gait

  double leg() const { return thigh + shin; }
  double standing_height() const { return ankle_height + 0.97 * leg(); }  // of the hips
};

// A grown person: total size, proportions and style vary by some per cent, the style by more.
Body random_body(Random& random);

// A turn in a person's own axes (x right, y forward, z up), radians: forward lean, then lean to
// the right, then turn to the left.
struct Turn {
  double pitch = 0, roll = 0, yaw = 0;
};

// Radians. Zero hangs down, palm inwards; the elbow bends forward, twist turns that outwards.
struct Arm {
  double flexion = 0, abduction = 0, twist = 0, elbow = 0;
  Vec3 target = Vec3::Zero();  // world; where the wrist goes instead ...
  double reach = 0;            // ... by this share, 0 to 1
};

// One instant. Index 0 of a pair is the right side, 1 the left.
struct Controls {
  Vec3 hip = Vec3::Zero();  // world
  double heading = 0;       // radians about z; 0 faces +y, positive turns left
  Turn pelvis, spine, chest, neck, head;
  std::array<Arm, 2> arms;
  std::array<Vec3, 2> ankles{Vec3::Zero(), Vec3::Zero()};  // world
  double knees_out = 0.1;  // how much the knees point outwards, 0 is straight ahead
};

// The 17 joints. Trunk and arms are forward kinematics; a leg is bent so that the ankle comes to
// its target, or as near as a leg that is never quite straight can bring it.
Pose3 pose_body(const Body& body, const Controls& controls);

}  // namespace posetape::data
