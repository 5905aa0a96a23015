// A dataset as a network has to see it. A network knows one way of giving it 2D poses, one frame
// rate and one definition of the joints; clips are made to fit, and results made to fit the clips
// again.
#pragma once

#include <Eigen/Geometry>

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.hpp"
#include "data/joint_definitions.hpp"
#include "engine/choices.hpp"

namespace posetape::data {

// How pixels become the coordinates that a network is given (x to the right, y down, 0 in the
// middle of the image).
enum class Normalisation {
  width,  // -1 to 1 over the width, as in VideoPose3D: checkpoints that don't say
  // -1 to 1 over the longer side: the same for images that are not higher than wide. One that is
  // higher by 1 % or less counts as square, as Human3.6M's 1000 x 1002.
  longer_side,
  // As a camera of the same place would see them that stands level, looks at the person and has the
  // focal length of Human3.6M's: needs the lens of each clip, and the direction up. Poses in 3D are
  // turned into the space of that camera, and results back.
  rays,
};
constexpr auto choices(Normalisation) {
  using enum Normalisation;
  return make_choices<Normalisation>(
      "normalisation", {{width, "width", "by the image's width"},
                        {longer_side, "longer-side", "by its longer side"},
                        {rays, "rays", "through a level camera; needs the lens of every clip"}});
}

// What a network was trained on, kept in its checkpoint.
struct Convention {
  Normalisation normalisation = Normalisation::width;
  double fps = 0;  // 0: not known, or not one
  JointDefinitions joints = JointDefinitions::unknown;
};
// As JSON text, and back: keys that are absent stand for the values above. Throws Error that names
// `source`.
std::string to_json(const Convention& convention);
Convention parse_convention(const std::string& json, const std::string& source);
// The key of a checkpoint's metadata.
inline constexpr const char* kConvention = "convention";

// The rate that all sequences have, 0 where they differ or one doesn't say; and the definitions
// that a dataset's metadata states.
double common_fps(const Dataset& dataset);
JointDefinitions joints_of(const Dataset& dataset);

// Rates within 2 % of each other are taken for the same.
bool same_rate(double a, double b);

class View {
 public:
  // With `resample`, sequences get the convention's rate, by Catmull-Rom interpolation (2D poses,
  // estimates, truth) and linear interpolation (confidence). The dataset has to live as long.
  // Throws Error where rays are wanted and a sequence has no lens.
  View(const Dataset& dataset, const Convention& convention, bool resample);

  // With frames at the rate `fps` alone, 0: as they are.
  static View at_rate(const Dataset& dataset, double fps) {
    return {dataset, {.fps = fps}, /*resample=*/true};
  }

  // What the network is given; the same sequences. The dataset itself where nothing changes.
  const Dataset& dataset() const { return changed_ ? *changed_ : original_; }
  // Of the sequences, how many were resampled.
  int resampled() const { return resampled_; }

  // What turns the original's camera space to what the network sees, where it sees another one.
  std::optional<Eigen::Matrix3d> rotation(int sequence) const;

  // A result for a sequence of dataset(), in the camera space and at the frames of the original. A
  // last window (Sequence::noisy_3d_last_window) keeps its frames.
  PoseArray back(int sequence, PoseArray poses) const;
  PoseArray back_window(int sequence, PoseArray poses) const;
  // Standard deviations, of which the logarithms are given (data/uncertainty.hpp); and those of one
  // window.
  PoseArray back_std(int sequence, PoseArray logarithms) const;
  PoseArray back_window_std(int sequence, PoseArray logarithms) const;

 private:
  const Dataset& original_;
  std::optional<Dataset> changed_;
  std::vector<double> step_;                  // frames of the original for one of ours
  std::vector<Eigen::Quaterniond> rotation_;  // from the original's camera space; empty where none
  int resampled_ = 0;
};

// The poses at positions 0, step, 2 step, ... of the frames, by Catmull-Rom interpolation; the last
// frame is held beyond the end.
PoseArray interpolate(const PoseArray& poses, int count, double step);

}  // namespace posetape::data
