// Biovision's BVH: a skeleton and its motion in one text file, as Blender, MotionBuilder and most
// motion-capture libraries write it.
//
// A joint turns by its rotation channels in the order in which they are listed, R = R1 R2 R3 on
// column vectors, and carries its children with it. Position channels take the place of the
// coordinates of OFFSET, as in Blender and MotionBuilder.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/motion.hpp"

namespace posetape::data {

enum class BvhChannel { x_position, y_position, z_position, x_rotation, y_rotation, z_rotation };

struct BvhJoint {
  std::string name;                  // empty: an End Site
  int parent = -1;                   // index into joints; -1 for the root
  Vec3 offset = Vec3::Zero();        // from the parent at rest, in the file's unit
  std::vector<BvhChannel> channels;  // each at most once
};

// Parents come before their children. Values are degrees and the file's unit of length, one after
// the other in the order of the joints and of their channels: [F][channels()].
struct Bvh {
  std::string file;
  std::vector<BvhJoint> joints;
  double frame_time = 0.02;  // seconds
  std::vector<double> values;
  bool added_positions = false;  // position channels below the root are added to OFFSET

  std::size_t channels() const;
  std::size_t frames() const;
  int find(std::string_view joint) const;  // index into joints; -1 where there is none
};

// Both throw Error with file, line, what was expected and what is there.
Bvh parse_bvh(std::string_view text, const std::string& file);
Bvh read_bvh(const std::filesystem::path& file);
// The same file again: lengths to 1e-6 of the unit, angles to 1e-7 degrees.
std::string format_bvh(const Bvh& bvh);

// Where every joint is in a frame, in the file's world and unit; `points` gets joints.size().
void joint_positions(const Bvh& bvh, std::size_t frame, std::vector<Vec3>& points);

// Whether the position channels of the joints below the root are meant to be added to OFFSET: in
// the mean, they are less than a fifth as long. Some programs write them so.
bool positions_add(const Bvh& bvh);

struct MotionOptions;  // motion_format.hpp

// A file as a motion in a z-up world: joints by their names (joint_names.hpp), unit and vertical,
// cm and y by custom, as person_world.hpp says. Frame rates within 0.05 % of a whole number are
// that number. Throws Error.
Motion read_bvh_motion(const std::filesystem::path& file, const MotionOptions& options);
Motion bvh_motion(const Bvh& bvh, const MotionOptions& options);

}  // namespace posetape::data
