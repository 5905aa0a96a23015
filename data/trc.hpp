// TRC: tables of markers over time, as OpenSim, Pose2Sim, Motion Analysis and others write them,
// cells between tabs.
//
//     PathFileType  4  (X/Y/Z)  walk.trc
//     DataRate  CameraRate  NumFrames  NumMarkers  Units  OrigDataRate  OrigDataStartFrame
//     OrigNumFrames 60  60  100  21  m  60  1  100 Frame#  Time  RHip                RKnee
//                   X1    Y1    Z1      X2    Y2    Z2
//     1       0.0   0.12  0.90  -1.40   ...
#pragma once

#include <string>
#include <string_view>

#include "data/marker_motion.hpp"

namespace posetape::data {

// A cell that is empty, NaN or missing at the end of a line was not seen. Where the header and the
// table disagree about frames, markers or the rate, the table counts, and a note says so. Throws
// Error with file, line, what was expected and what is there.
MarkerTrack parse_trc(std::string_view text, const std::string& file);

// A clip as such a file: the 17 joints under their names, y up and in metres unless chosen
// otherwise (the unit is in the file, the vertical is not). `name` is the file's.
std::string format_trc(const PoseClip& clip, const ExportOptions& options, const std::string& name);

}  // namespace posetape::data
