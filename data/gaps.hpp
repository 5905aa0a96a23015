// Gaps: frames in which an estimator gave no place for a joint, a NaN or infinite coordinate. Short
// ones are bridged over time, everywhere by the same rule; long ones are for the user to decide.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

// The longest gap that is bridged: half a second, in whole frames, rounded down.
inline constexpr double kLongestGapSeconds = 0.5;
int longest_gap(double fps);

// What programs write for a joint that they have not found becomes NaN, a gap: of 2D poses a joint
// at exactly (0, 0), of 3D ones a frame in which every coordinate is 0.
// Returns whether there was one.
bool zeros_to_gaps(PoseArray& poses);

// The frames [begin, end) in which a joint has a coordinate that is not finite.
struct Gap {
  int joint = 0;
  int begin = 0;
  int end = 0;
};

// All gaps, by joint, then in time.
std::vector<Gap> find_gaps(const PoseArray& poses);

// Fills a gap linearly between the frames before and after it; at an end of the clip, where there
// is one neighbour, with that. The joint must have a neighbour.
void bridge(PoseArray& poses, const Gap& gap);

// What fill_gaps filled.
struct GapCount {
  std::int64_t joints = 0;  // in all frames: a joint that is missing in ten frames counts ten
  std::int64_t frames = 0;  // in which it filled one or more
};

// Bridges all gaps of at most `longest` frames. Where one is longer, or no frame has the joint,
// nothing is changed: returns those, else an empty list.
std::vector<Gap> fill_gaps(PoseArray& poses, int longest, GapCount& count);

// Where gaps are, for messages: "joint 3 (RFoot) is NaN or infinite in frames 10 to 60 (51
// frames)", with the joints that share the first gap's frames, and how many other gaps there are.
std::string gaps_text(std::span<const Gap> gaps);

}  // namespace posetape::data
