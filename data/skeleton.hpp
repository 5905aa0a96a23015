// The 17-joint skeleton of Human3.6M: the order every array of poses in this project uses.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "data/dataset.hpp"

namespace posetape::data {

// Joints by name, for code that builds or reads a pose joint by joint. "Foot" is the ankle, and
// what detectors call the nose is the joint between the thorax and the head.
namespace joint {
inline constexpr int hip = 0, right_hip = 1, right_knee = 2, right_foot = 3;
inline constexpr int left_hip = 4, left_knee = 5, left_foot = 6;
inline constexpr int spine = 7, thorax = 8, neck = 9, head = 10;
inline constexpr int left_shoulder = 11, left_elbow = 12, left_wrist = 13;
inline constexpr int right_shoulder = 14, right_elbow = 15, right_wrist = 16;
}  // namespace joint

inline constexpr std::array<std::string_view, kJoints> kJointNames{
    "Hip",  "RHip", "RKnee",     "RFoot",  "LHip",   "LKnee",     "LFoot",  "Spine", "Thorax",
    "Neck", "Head", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"};

// The joint towards the hip; -1 for the hip itself. Parents come before their children.
inline constexpr std::array<int, kJoints> kParents{-1, 0, 1, 2,  0,  4, 5,  0, 7,
                                                   8,  9, 8, 11, 12, 8, 14, 15};

// The joint on the other side of the body; a joint on the middle line is its own.
inline constexpr std::array<int, kJoints> kMirror{0, 4,  5,  6,  1,  2,  3,  7, 8,
                                                  9, 10, 14, 15, 16, 11, 12, 13};

inline constexpr std::array<int, 6> kLeftJoints{4, 5, 6, 11, 12, 13};
inline constexpr std::array<int, 6> kRightJoints{1, 2, 3, 14, 15, 16};

// The five body parts of STCFormer (torso and head, right leg, left leg, left arm, right arm), an
// index into its part embedding.
inline constexpr std::array<int, kJoints> kParts{0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4};

struct Bone {
  int parent, child;
};

// The 16 bones, bone b ending in joint b + 1.
inline constexpr std::array<Bone, kJoints - 1> kBones = [] {
  std::array<Bone, kJoints - 1> bones{};
  for (int j = 1; j < kJoints; ++j) bones[j - 1] = {kParents[j], j};
  return bones;
}();

// Mirrors poses [F][17][channels] (2 or 3) left to right in place: x changes sign and the joints
// change sides. For camera space and for screen coordinates whose origin is the image centre, as
// normalise_screen gives. Throws where the values are not whole poses.
void mirror(std::span<float> poses, int channels);

// The same for 2D poses [F][17][2] in pixels of an image `width` pixels wide: x becomes width - x.
void mirror_pixels(std::span<float> poses, int width);

}  // namespace posetape::data
