// Joints that a detector or an estimator did not see. Nothing is drawn as if it had been: what is
// interpolated or guessed has the confidence 0.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/keypoint_layouts.hpp"

namespace posetape::data {

// The 17 joints of one person in F frames.
struct JointTrack {
  PoseArray poses;                // [F][17][C]
  std::vector<float> confidence;  // [F][17]; 0: not seen
};

// What was done, in joints of frames: a joint in ten frames counts ten.
struct FillReport {
  std::int64_t interpolated = 0;  // over time, from the frames before and after
  std::int64_t replaced = 0;      // from other keypoints, long: a head from the ears
  std::int64_t guessed = 0;       // from the rest of the body
  std::vector<int> never_seen;    // joints that were guessed in all frames
};

// How many of a frame's joints the keypoints give.
int joints_seen(KeypointLayout layout, const KeypointTrack& track, int frame);

// The 17 joints from the keypoints of one person without a long gap in which nobody was seen:
//
//   seen                                  as place_joint() says, the best way that the layout has
//   missing for at most `longest` frames  interpolated over time, or held at an end; so are 2D
//                                         joints of confidence below 0.3 between surer ones
//   longer                                by another way that place_joint() knows, which was seen;
//                                         else guessed: at the place that it had relative to a
//                                         joint beside it, before and after the gap, and where it
//                                         is never seen at the one that it has in a person who
//                                         stands upright
//
// Throws Error where fewer than five of the joints are ever seen: `where` starts the message.
JointTrack to_joints(KeypointLayout layout, const KeypointTrack& track, int longest,
                     const std::string& where, FillReport& report);

// "LKnee and RKnee", the names of joints.
std::string joint_names(const std::vector<int>& joints);

}  // namespace posetape::data
