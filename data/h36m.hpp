// Human3.6M, from the files that the field's code reads (videopose.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

// The joints of the data set's 32 that are kept, in the order of the 17.
inline constexpr std::array<int, kJoints> kH36mJoints{0,  1,  2,  3,  6,  7,  8,  12, 13,
                                                      14, 15, 17, 18, 19, 25, 26, 27};

struct H36mOptions {
  std::vector<int> cameras{0, 1, 2, 3};  // each once
  std::vector<std::string> subjects;     // only these; all where empty
  // S9 and S11 by default, as far as they are there. Names given here must be.
  std::optional<std::vector<std::string>> test_subjects;
};

struct H36mTotal {
  int sequences = 0;
  std::int64_t frames = 0;
};

struct H36mReport {
  H36mTotal train, test;
  // Of the whole data set: what train and test are with all subjects and cameras and the usual
  // split. SmoothNet's logs have the same figures.
  static constexpr H36mTotal kTrain{600, 1'559'752}, kTest{236, 543'344};
  bool complete = false;
  double pixels = 0;  // mean distance of the 2D poses from the exact projections
  // What the files lack or have beside, a line each.
  std::vector<std::string> notes;
};

// `positions` is data_3d_h36m.npz (32 joints, world, metres, 50 frames a second). `keypoints` is
// data_2d_h36m_cpn_ft_h36m_dbb.npz, data_2d_h36m_gt.npz or another of their form with 17 joints in
// the data set's order and the four cameras in the order of h36m_cameras(); where it is empty, 2D
// poses are the exact projections. Frames of 2D poses past the end of the 3D ones are cut.
//
// Sequences are named <subject>/<action>/<camera>, e.g. "S1/Directions 1/0"; 3D poses are in camera
// space with the root's trajectory. Clips without 2D poses, subjects without public cameras and 2D
// poses of no clip are left out, and `report` says so. Throws Error on poses of another form, too
// few frames or cameras, poses that are not in metres and 2D poses that do not fit the cameras.
Dataset prepare_h36m(const std::string& positions, const std::string& keypoints,
                     const H36mOptions& options, H36mReport& report);

}  // namespace posetape::data
