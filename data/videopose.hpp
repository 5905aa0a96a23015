// The files that VideoPose3D and its descendants keep poses in: npz with pickled dicts of arrays.
// Source: VideoPose3D, DATASETS.md, data/data_utils.py and common/h36m_dataset.py.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/npy.hpp"

namespace posetape::data {

// "Directions 1": the action, then where there are several the take. Older names of actions
// (TakingPhoto, WalkingDog) are given as the newer ones (Photo, WalkDog).
struct PositionsClip {
  std::string subject, action;
  NpyArray positions;  // (N, joints, 3), world space, metres
};

// `positions_3d`: {subject: {action: (N, joints, 3)}}, in the order of the file.
std::vector<PositionsClip> read_positions_3d(const std::string& path);

struct KeypointsClip {
  std::string subject, action;
  std::string video;            // the subject as the file calls it
  std::vector<NpyArray> views;  // a camera each: (N, joints, 2 or more), pixels first
};

// `positions_2d`: {subject: {action: [(N, joints, 2) for each camera]}}, and what its `metadata`
// say. Files of one's own videos have the video's name as subject, without folders, and the image
// sizes. An array may have a third column, of confidences; there may be an array in place of a list
// of arrays, and lists of numbers in place of an array.
struct Keypoints {
  std::vector<KeypointsClip> clips;
  int joints = 0;
  std::string layout;                        // "h36m", "coco", ...; may be empty
  std::array<std::vector<int>, 2> symmetry;  // joints of the left and of the right side
  std::map<std::string, std::array<std::int32_t, 2>> image_sizes;  // by `video`: width, height
};
Keypoints read_keypoints_2d(const std::string& path);

}  // namespace posetape::data
