// Points over time, as optical motion capture and triangulation give them, as a motion.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "data/joint_names.hpp"
#include "data/motion_format.hpp"

namespace posetape::data {

inline const Vec3 kMissing = Vec3::Constant(std::numeric_limits<double>::quiet_NaN());

struct MarkerTrack {
  std::string file;
  std::vector<std::string> labels;  // of the points; may be empty ones
  std::size_t frames = 0;
  std::vector<Vec3> points;  // [F][labels.size()] in the file's unit and axes; kMissing: not seen
  double fps = 50;
  std::optional<double> metres_per_unit;  // what the file says
  std::optional<UpAxis> up;
  Notes notes;

  const Vec3& at(std::size_t frame, std::size_t point) const {
    return points[frame * labels.size() + point];
  }
};

// A point that is exactly at 0, 0, 0 in some frames but not in all was not seen in those. Joints
// are found by joints_of_markers(); a joint needs all of its points. Gaps of at most a quarter of a
// second are interpolated. Longer ones split the motion: "walk", "walk_2", ... are its stretches of
// at least half a second (the longest one where all are shorter). Both are notes, as are unit and
// vertical (person_world.hpp).
std::vector<Motion> marker_motions(const MarkerTrack& track, const MotionOptions& options);

}  // namespace posetape::data
