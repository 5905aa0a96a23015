// What the 17 joints are. A skeleton of motion capture and the keypoints of a detector have the
// same names and not the same places: CMU's hip lies 8 to 10 cm above the line of the hip joints,
// its thorax 18 cm below the neck's base, its head in mid-head. A network has to be trained on the
// definitions that it will meet.
#pragma once

#include "data/motion.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

enum class JointDefinitions {
  unknown,
  skeleton,   // as the source has them
  keypoints,  // as COCO's and OpenPose's BODY_25's keypoints make them; the head between the eyes
  keypoints_top,  // the same, with a keypoint of the head's top: Halpe, BODY_25B
  // Of a dataset, the one or the other, camera by camera: a network learns both, and answers as it
  // is asked.
  keypoints_mixed,
};
constexpr auto choices(JointDefinitions) {
  using enum JointDefinitions;
  return make_choices<JointDefinitions>(
      "joints", {{unknown, "unknown", "not said"},
                 {skeleton, "skeleton", "the source's own"},
                 {keypoints, "keypoints",
                  "hip and thorax between hip and shoulder joints, spine between "
                  "them, the nose, the head between the eyes"},
                 {keypoints_top, "keypoints-top", "the same, the head at its top"},
                 {keypoints_mixed, "keypoints-mixed", "one or the other by turns"}});
}
// Whether a network that was trained on some knows the others. What is not said fits.
constexpr bool fits(JointDefinitions trained, JointDefinitions given) {
  using enum JointDefinitions;
  return trained == given || trained == unknown || given == unknown ||
         (trained == keypoints_mixed && (given == keypoints || given == keypoints_top));
}

// The motion with these definitions (data/keypoints.hpp makes 2D poses by the same): hip and thorax
// are the midpoints of hip and shoulder joints, the spine is midway between them, the neck's place
// is the nose's, and the head is between the eyes, or the head's top. Hips, limbs and shoulders are
// kept. Of markers on the nose, the eyes or the head's top these are kept, too; else nose, eyes and
// top are set from the middle of the head (or from the nose), 10 to 12 cm away, by the head's
// axis (neck to head) and the line of the shoulders; how the head turns against them a motion of 17
// joints doesn't know. keypoints_mixed is no definition of one motion. The middle of the head is
// `middle` of the way from the source's neck to its head: 1 where that is the middle (CMU), 0.5
// where it is the top (BVH).
Motion with_joints(Motion motion, JointDefinitions definitions, double middle);

}  // namespace posetape::data
