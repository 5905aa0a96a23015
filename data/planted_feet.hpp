// Feet that stand where they touch the ground, instead of sliding over it.
//
// Poses relative to joint 0 say nothing of that: a foot on the ground moves as the hip above it
// does. So it takes the way of joint 0, which 2D poses and the lens give (data/trajectory.hpp), and
// the camera has to stand still. The ground need not be even or level.
//
//   1. A foot is on the ground where its ankle stands still in the image: slower than 0.35 m/s at
//      the person's distance, in 2D poses smoothed over 0.3 s (Savitzky and Golay, degree 2), and
//      seen so for 0.1 s. A ray's own direction is not looked at; the depth is too uncertain.
//   2. The person's way is fitted anew, so that these feet stand as still as may be.
//   3. What is left of their motion the leg takes (Kovar, Schreiner and Gleicher, Footskate cleanup
//      for motion capture editing, SCA 2002): the ankle goes to its mean place in the contact, the
//      knee follows by two-bone inverse kinematics, and within 0.1 s before and after a contact
//      that fades out.
//
// So the foot does not move at all. A foot that its leg would not reach is not on the ground.
#pragma once

#include <span>

#include "data/trajectory.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

enum class Feet {
  free,     // as the network gives them
  planted,  // they stand where they touch the ground
};
constexpr auto choices(Feet) {
  using enum Feet;
  return make_choices<Feet>("feet", {{free, "free", "as the network gives them"},
                                     {planted, "planted",
                                      "they stand still on the ground, which needs the lens and a "
                                      "camera that stands still; adds the person's way"}});
}

// The feet on the ground of a person who is at these places.
FeetDown feet_down(const Sequence& sequence, const Trajectory& places, double fps);

// A leg whose ankle is to be at `ankle`: where its knee and ankle are, of the same bones. The knee
// stays in the plane of hip, knee and ankle, which turns with the leg by the shortest way; of a
// straight leg it bends to `front`. By the law of cosines (Tolani, Goswami and Badler, Graphical
// Models 62, 2000). An ankle out of reach comes as near as the bones allow.
struct Leg {
  Vec3 hip, knee, ankle;
};
Leg reach(const Leg& leg, const Vec3& ankle, const Vec3& front);

struct PlantedFeet {
  PoseArray poses;  // relative to joint 0
  Trajectory root;  // where joint 0 is
  FeetDown down;
};
// Throws as fit_trajectory().
PlantedFeet plant_feet(const Sequence& sequence, const PoseArray& poses, double fps);

// How far an ankle moves from one frame to the next while its foot is on the ground in both, mean
// in mm; 0 where none is. `root` is [F][3], `down` [F][2] (Sequence::feet_down).
double foot_slide(const PoseArray& poses, std::span<const float> root, std::span<const float> down);

// Poses relative to joint 0 with joint 0 at these places, [F][3].
PoseArray with_root(PoseArray poses, std::span<const float> root);

}  // namespace posetape::data
