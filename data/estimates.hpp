// Datasets of other people's 3D estimates beside their 2D poses, to refine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/estimate_axes.hpp"
#include "data/keypoint_tracks.hpp"

namespace posetape::data {

struct EstimateOptions {
  TrackOptions keypoints;                 // of the 2D; person, layout and rate of both
  std::optional<KeypointFormat> format;   // of the 3D; none: told from the content
  std::optional<KeypointLayout> layout;   // of the 3D
  std::optional<double> metres_per_unit;  // none: looked for among m, cm, mm and in
  std::optional<double> height;           // of the person, metres: for normalised estimates
  std::optional<EstimateUp> up;           // none: as the format has it
  bool mirror = false;                    // x changes sign
  std::optional<double> turn;             // degrees about the vertical, seen from above
  bool turn_to_image = false;             // the turn about the vertical that fits the 2D best
};

// The clips of `estimates` as noisy_3d, metres, camera axes, relative to joint 0, with the 2D poses
// of `keypoints` beside them; where that is empty, those of the same file, and where that has none,
// the estimate's own projection, with confidence 0. The first clip of one goes with the first one
// of the other, frame by frame; both must have as many frames. `notes` as in prepare_keypoints().
//
// Throws Error where a file is refused, frames differ, the thighs and shins are no person's in any
// unit (normalised estimates: they need a height), heads are below hips, or the person is mirrored.
Dataset prepare_estimates(const std::string& estimates, const std::string& keypoints,
                          const EstimateOptions& options, std::vector<std::string>& notes);

}  // namespace posetape::data
