// The confidences and the standard deviations of a clip as tables, which lie beside formats that
// have no place for them.
#pragma once

#include <string>

#include "data/motion_format.hpp"

namespace posetape::data {

// CSV, a line a frame: sequence, frame, seconds and the 17 joints. The clip has confidences.
std::string confidence_table(const PoseClip& clip);
// CSV likewise, x, y and z of each joint in the unit and axes of the poses. The clip has them.
std::string std_table(const PoseClip& clip, const ExportOptions& options);

}  // namespace posetape::data
