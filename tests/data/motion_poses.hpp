// Poses of a walking person in camera space, for tests of formats.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "data/marker_motion.hpp"
#include "data/motion_format.hpp"
#include "data/synthetic.hpp"

namespace posetape::test {

// Two seconds at 50 frames a second, 4 m in front of a level camera.
inline data::PoseArray walking() {
  const data::Motion motion =
      data::synthetic_motions({.subjects = 1, .takes = 1, .seconds = 2}).at(0);
  data::PoseArray poses{3, {}};
  for (const data::Pose3& pose : motion.frames) {
    for (const data::Vec3& p : pose) {
      for (const double x : {p.x(), -p.z(), p.y() + 4}) {
        poses.values.push_back(static_cast<float>(x));
      }
    }
  }
  return poses;
}

inline std::string written(const data::FormatRule& format, const std::vector<data::PoseClip>& clips,
                           const data::ExportOptions& options) {
  std::string text;
  format.writer->write(clips, options, [&](std::string_view part) { text += part; });
  return text;
}

// What a track gives that no long gap splits.
inline data::Motion motion_of(const data::MarkerTrack& track, const data::MotionOptions& options) {
  return data::marker_motions(track, options).at(0);
}

// The largest distance between a motion's joints and the poses that it was written from, metres.
inline double largest_difference(const data::Motion& motion, const data::PoseArray& poses) {
  double worst = 0;
  for (int f = 0; f < poses.frames(); ++f) {
    for (int j = 0; j < data::kJoints; ++j) {
      const float* p = poses.frame(f) + 3 * j;
      const data::Vec3 world(p[0], p[2], -p[1]);  // z up
      worst = std::max(worst, (motion.frames.at(static_cast<std::size_t>(f))[j] - world).norm());
    }
  }
  return worst;
}

}  // namespace posetape::test
