// The confidences of a clip as a table, which lies beside formats that have no place for them.
#pragma once

#include <string>

#include "data/motion_format.hpp"

namespace posetape::data {

// CSV, a line a frame: sequence, frame, seconds and the 17 joints. The clip has confidences.
std::string confidence_table(const PoseClip& clip);

}  // namespace posetape::data
