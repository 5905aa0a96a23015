// posetape prepare keypoints and prepare estimates: what other people's tools saw.
#pragma once

#include <string>

#include "data/keypoint_tracks.hpp"
#include "tools/command_line.hpp"

namespace posetape::tools {

void add_prepare_keypoints(const Command& prepare);

// The options of 2D poses of one's own videos, which options has to outlive: --layout, --fps,
// --image-size and so on, and the format's under the name `format`.
void add_keypoint_options(const Command& command, const std::string& format,
                          data::TrackOptions& options);

}  // namespace posetape::tools
