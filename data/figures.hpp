// What can be measured of a clip without knowing what it shows: sizes, directions and how well its
// arrays go together. data/plausibility.hpp judges the figures. All are medians, or robust in
// another way, over at most kExaminedFrames frames, evenly spaced; equal clips have equal figures.
#pragma once

#include <Eigen/Core>

#include <array>
#include <optional>

#include "data/dataset.hpp"

namespace posetape::data {

inline constexpr int kExaminedFrames = 128;

// A frame of poses with so many channels, a column a joint.
template <int Channels>
Eigen::Matrix<double, Channels, kJoints> pose_at(const PoseArray& poses, int frame) {
  using Floats = Eigen::Matrix<float, Channels, kJoints>;
  return Eigen::Map<const Floats>(poses.frame(frame)).template cast<double>();
}

// Of pose_2d, from the joints that the detector has seen.
struct ImageFigures {
  double person = 0;  // longer side of the box around the joints, pixels
  double low = 0;     // the coordinates lie between these, but for 2 % at either end
  double high = 0;
  double outside =
      0;              // share of the joints beyond a tenth of the image's longer side outside of it
  double away = 0;    // the same, beyond the whole of it
  double tree = 0;    // length of the bones / that of the shortest tree that joins the joints
  double legs = 0;    // a leg's length / the torso's, from the middle of the hips to the shoulders'
  double hip = 0;     // joint 0 from the middle of the hip joints, in torsos
  double thorax = 0;  // the thorax from the middle of the shoulders, in torsos
  double upright = 0;  // how far the ankles are below the head, in box sides: -1 to 1
};

// Of one 3D array, in its own unit.
struct BodyFigures {
  double root = 0;  // distance of joint 0 from the origin
  double leg = 0;   // thighs and shins
  double tree = 0;  // as above
  double size = 0;  // root mean square distance of the joints from their centroid
  double lean =
      0;  // of the body's axis from y in the plane of y and z, towards the camera, degrees
  double speed = 0;   // of a joint against joint 0, so fast or slower are 95 %, units a second
  double jitter = 0;  // second difference of a joint between frames, median
  // Along which side's axis the knees bend, weighted by how much: 1 as a person's do, -1 in a
  // mirror image or with left and right swapped. 0 where `bends`, the number of legs that are bent
  // in the frames looked at, is too small to say.
  double knees = 0;
  int bends = 0;
};

// How 3D poses fit 2D ones seen along z, each frame at a scale of its own. Distances are between
// a joint and its projection, as a part of the root mean square size of the pose in the image.
struct FitFigures {
  double misfit = 0;                     // median over joints and frames
  std::array<double, kJoints> joints{};  // over frames
  // How left and right lie to each other, in the image against in the poses: 1 alike, -1 swapped.
  double sides = 0;
  Eigen::Matrix3d rotation = Eigen::Matrix3d::Identity();  // turns the poses so that they fit best
  double angle = 0;                                        // its, degrees
  double turned_misfit = 0;                                // with it
};

// How one array of 3D poses lies to another, both about joint 0.
struct PairFigures {
  double scale = 0;  // size of the first / size of the second
  double angle = 0;  // of the best rotation (or reflection) of the first to the second, degrees
  bool mirrored = false;
  double misfit = 0;         // median distance as a part of the second's size, at equal size
  double turned_misfit = 0;  // after that rotation
};

// How absolute poses in camera space project onto 2D ones: u = focal x / z + centre.
struct ProjectionFigures {
  double depth = 0;                // of joint 0, median
  std::array<double, 2> focal{};   // pixels
  std::array<double, 2> centre{};  // pixels
  double misfit = 0;               // median distance / person
};

// Length of the bones / that of the shortest tree that joins the joints. 1.0 to 1.4 of a person's
// 3D poses with the joints in their order, 1.1 to 2 in an image.
double tree_ratio(const PoseArray& poses);

ImageFigures image_figures(const Sequence& sequence);
BodyFigures body_figures(const PoseArray& poses, double fps);
// Entry j says which joint of `poses` stands for joint j of pose_2d.
using JointOrder = std::array<int, kJoints>;
inline constexpr JointOrder kSameOrder{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
FitFigures fit_figures(const Sequence& sequence, const PoseArray& poses);
// FitFigures::misfit and joints of the poses in another order.
double misfit(const Sequence& sequence, const PoseArray& poses, const JointOrder& order);
std::array<double, kJoints> joint_misfits(const Sequence& sequence, const PoseArray& poses,
                                          const JointOrder& order);
// At which frame of pose_2d, against their own, the poses fit best, at most a second away; and the
// misfit there.
struct Lag {
  int frames = 0;
  double misfit = 0;
};
Lag best_lag(const Sequence& sequence, const PoseArray& poses);
// Which joint of `poses` each joint of pose_2d is nearest to, each taken once.
JointOrder nearest_order(const Sequence& sequence, const PoseArray& poses);
PairFigures pair_figures(const PoseArray& first, const PoseArray& second);
// Nothing where joint 0 does not move, or does not lie before the camera.
std::optional<ProjectionFigures> projection_figures(const Sequence& sequence,
                                                    const PoseArray& poses);

// The median of the finite ones; of an even number, the upper one of the middle. 0 of none.
double median(std::vector<double> values);

}  // namespace posetape::data
