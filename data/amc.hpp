// Reader for the ASF (skeleton) and AMC (motion) files of the CMU motion-capture database, and the
// forward kinematics to the 17 joints.
#pragma once

#include <Eigen/Core>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/motion.hpp"

namespace posetape::data {

// The files carry no frame rate: this is what CMU states for the database.
inline constexpr double kAmcFps = 120;

// One bone. It starts where its parent ends.
struct AsfBone {
  std::string name;
  int parent = -1;                                     // index into bones; -1 is the root
  Vec3 offset = Vec3::Zero();                          // start to end at zero pose, metres
  Eigen::Matrix3d axis = Eigen::Matrix3d::Identity();  // the bone's frame against the world
  std::vector<int> dof;  // which of rx, ry, rz (0, 1, 2) a motion gives, in its order
  int first_value = 0;   // where they start in a frame's values
};

// A skeleton: bones with parents before children.
struct AsfSkeleton {
  std::string file;
  double metres_per_unit = 0;       // of root translations
  std::array<int, 6> root_order{};  // value i of the root is slot root_order[i] of TX ... RZ
  std::vector<AsfBone> bones;
  int values_per_frame = 6;           // the root's six, then those of the bones
  std::array<int, kJoints> joints{};  // bone whose end is the joint; -1 is the root

  int find(std::string_view bone) const;  // index into bones; -1 where there is none
};

// Both throw Error with file, line, what was expected and what is there. Frames hold
// values_per_frame numbers each in the order of the skeleton, [F][values_per_frame], degrees and
// ASF units.
AsfSkeleton read_asf(const std::filesystem::path& file);
std::vector<double> read_amc(const AsfSkeleton& skeleton, const std::filesystem::path& file);

// The same from text in memory; `file` is for messages.
AsfSkeleton parse_asf(std::string_view text, const std::string& file);
std::vector<double> parse_amc(const AsfSkeleton& skeleton, std::string_view text,
                              const std::string& file);

// The root position and the ends of all bones of one frame, metres, y up. `values` holds
// values_per_frame numbers; `ends` gets bones.size() + 1 points, the root last.
void bone_ends(const AsfSkeleton& skeleton, const double* values, std::vector<Vec3>& ends);

// Every frame's 17 joints, metres, y up (the files' own world).
std::vector<Pose3> forward_kinematics(const AsfSkeleton& skeleton,
                                      const std::vector<double>& values, HipRoot hip);

struct MotionOptions;  // motion_format.hpp

// The skeleton of a trial: the .asf beside it that has the folder's name, else the one whose name
// the trial's begins with ("HDM_bd.asf", "HDM_bd_walk_001_120.amc"), else the only one, in whatever
// case. Throws Error where there is none.
std::filesystem::path find_asf(const std::filesystem::path& amc);

// A trial as a motion in a z-up world at 120 frames per second, named after the two files. The unit
// is inches over the skeleton's `length`, as ASF says, where a person's size comes of that
// (person_world.hpp).
Motion read_cmu_motion(const AsfSkeleton& skeleton, const std::filesystem::path& amc,
                       const MotionOptions& options);

}  // namespace posetape::data
