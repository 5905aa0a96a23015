// Which of a skeleton's joints, or of a set of markers, the 17 joints are, by the names that
// programs give them.
//
// A name is read as words ("mixamorig:LeftUpLeg" is mixamorig left up leg; "J_Bip_L_UpperArm" is j
// bip l upper arm), whatever stands between them and in whatever case; a prefix, numbers at the end
// and the side's place do not count. Known are, in the order of preference:
//
//   Hip                 hips, hip, pelvis; else where both legs begin
//   RHip LHip           up leg, upper leg, thigh, thigh bend, femur, hip
//   RKnee LKnee         lower leg, shin, calf, tibia, knee, leg
//   RFoot LFoot         ankle, foot (in SMPL's skeletons "foot" is a joint of the toes)
//   RShoulder LShoulder upper arm, u arm, shldr, shldr bend, humerus, arm, shoulder
//   RElbow LElbow       fore arm, lower arm, f arm, forearm bend, radius, elbow
//   RWrist LWrist       wrist, hand
//
// of Mixamo, MotionBuilder, LAFAN1, Xsens, Rokoko, Perception Neuron, 3ds Max Biped, DAZ and Poser,
// Motive, Unreal, Unity, VRoid, Rigify, MakeHuman, Character Creator, SMPL and CMU. The 17 names of
// skeleton.hpp, as files written here have them, come before all of these.
//
// Of a skeleton:
//   Thorax  neck, else midway between the joints in which the arms leave the spine
//   Neck    head, where the head starts; in Rigify's the last joint of the spine
//   Head    the joint named as its top, else the End Site or the joint below it that is farthest up
//   Spine   the joint between Hip and Thorax that is nearest to half of the way at rest, else
//   midway
// Of markers, as pose estimators name them:
//   Thorax  neck, else midway between the shoulders
//   Neck    nose
//   Head    head, head top, else midway between the eyes or the ears
//   Hip     hip, mid hip, pelvis, else midway between the hips
//   Spine   midway between Hip and Thorax
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "data/joints_map.hpp"
#include "data/person_world.hpp"

namespace posetape::data {

struct NamedPoint {
  std::string name;            // empty: an End Site
  int parent = -1;             // index; -1 for the root, and for all markers
  Vec3 offset = Vec3::Zero();  // from the parent at rest
};

// Each of the 17 joints: the mean of these points.
using JointPoints = std::array<std::vector<int>, kJoints>;

// `map` comes before the names. Both throw one Error that names all joints that were not found,
// what the file has instead, and `option`, by which the user maps them.
JointPoints joints_of_skeleton(const std::string& file, std::span<const NamedPoint> joints,
                               const JointsMap& map, const char* option);
struct MarkerJoints {
  JointPoints points;
  HeadPoints head = HeadPoints::joints;
};
MarkerJoints joints_of_markers(const std::string& file, std::span<const NamedPoint> markers,
                               const JointsMap& map, const char* option);

}  // namespace posetape::data
