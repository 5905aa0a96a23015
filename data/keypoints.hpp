// Datasets of 2D poses from the files of detectors (data/keypoint_formats.hpp).
#pragma once

#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/keypoint_tracks.hpp"
#include "data/missing_joints.hpp"

namespace posetape::data {

// 2D poses of one's own videos, a sequence for each clip of the file, named
// <subject>/<action>/<camera>. A folder may hold a folder of JSON for each video: they are the
// actions of one subject, who is named after it. People are found and followed (data/people.hpp),
// joints that are missing filled in with confidence 0 (data/missing_joints.hpp), and where nobody
// is seen for more than half a second the clip goes on as another sequence. What was done goes to
// `notes`, a line each. Throws Error where a file is of no known format, or as keypoint_tracks.hpp
// says.
Dataset prepare_keypoints(const std::string& path, const TrackOptions& options,
                          std::vector<std::string>& notes);

// The lines about joints that were filled in.
void note_filled(const std::string& sequence, int frames, const FillReport& report,
                 std::vector<std::string>& notes);

}  // namespace posetape::data
