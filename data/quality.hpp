// What can be said of a clip's poses without the truth: whether they jitter, whether bones keep
// their length, whether the person turns round at once. The line that `pose` and `refine` print a
// clip.
#pragma once

#include "data/dataset.hpp"

namespace posetape::data {

// Of poses relative to joint 0, in metres. Means over frames; 0 where there are too few of them.
struct Quality {
  // Mean length of a joint's second difference over time, mm/frame^2, in frames of 1/50 s: motion
  // has some of it (2 to 4 in walking), jitter adds to it.
  double jitter = 0;
  double foot_jitter = 0;  // the same of the ankles
  // The speed that wrists and ankles exceed in 1 % of the frames, m/s (data/metrics.hpp).
  double peak_speed = 0;
  // Standard deviation of a bone's length over time, in percent of its mean; the mean over bones.
  double bone_spread = 0;
  // How often the line through the hip joints turns by more than 120 degrees within 0.2 s: nobody
  // does, so left and right were taken for each other, or the front for the back.
  int turn_rounds = 0;
};
Quality quality(const PoseArray& poses, double fps);

// The share of pose_2d's joints that the detector did not see (confidence 0), in percent; negative
// where nothing is known.
double guessed_share(const Sequence& sequence);

}  // namespace posetape::data
