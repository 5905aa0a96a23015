// Poses of 17 joints as a BVH skeleton with rotations, which Blender and the like import.
#pragma once

#include <string>

#include "data/bvh.hpp"
#include "data/dataset.hpp"

namespace posetape::data {

enum class BvhBones {
  mean,   // every bone has its mean length over the clip: rotations alone, as retargeting wants
  exact,  // each frame its own lengths, as position channels of the joints: positions are kept
};
constexpr auto choices(BvhBones) {
  return make_choices<BvhBones>("bones",
                                {{BvhBones::mean, "mean", "their mean length over the clip"},
                                 {BvhBones::exact, "exact", "as in each frame"}});
}

// The joints have the names of skeleton.hpp. Units are centimetres, y is up.
//
// At rest the person looks along +z with the left side at +x, a T: the spine, the neck and the head
// point up, the legs down, the arms sideways. Hip turns with the pelvis (its x axis from the right
// to the left hip, its y axis as close to Hip -> Spine as that allows) and Thorax with the chest
// (shoulders, and Spine -> Thorax). Three bones start at each of them, in directions of their own;
// so each of these has one joint more at its start ("RHipBase", offset 0) that turns it from the
// rest direction by the shortest way, as every other joint does with the bone that it carries.
// Directions of bones are therefore exact; twists about a bone, of which positions say nothing,
// are not known.
//
// `poses` are metres in camera space (x right, y down, z forward), root-relative or with the root's
// trajectory, [F][17][3], F at least 1. The camera's axes stay the world's, turned so that y is up:
// a camera that looks down at the scene leaves the floor inclined.
Bvh bvh_of_poses(const PoseArray& poses, double fps, BvhBones bones);

}  // namespace posetape::data
