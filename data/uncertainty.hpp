// How sure refined poses are (Sequence::refined_std), and whether they have a right to be.
//
// A region of a coordinate holds a share of the truths: it reaches so many times the standard
// deviation to both sides of the estimate. The multiples come with the poses; a normal
// distribution's stand where they don't.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

inline constexpr std::array<double, 3> kRegionShares{0.5, 0.8, 0.95};

// Camera space's x and y, and the depth.
inline constexpr int kPlane = 0;
inline constexpr int kDepth = 1;
inline constexpr std::array<const char*, 2> kAxisNames{"image plane", "depth"};
constexpr int axis_of(int coordinate) {
  return coordinate % 3 == 2 ? kDepth : kPlane;
}

// Multiples of the standard deviation, by axis and share.
struct Regions {
  std::array<std::array<double, 3>, 2> multiples{
      {{0.67449, 1.28155, 1.95996}, {0.67449, 1.28155, 1.95996}}};
};
// As six numbers, and back; throws Error, naming `source`, unless they rise from above 0 on each
// axis.
std::vector<double> values_of(const Regions& regions);
Regions regions_of(std::span<const double> values, const std::string& source);

// Among what is stored of how poses were made (data/protocol.hpp): {"image plane": [three
// multiples], "depth": [...]}.
inline constexpr const char* kRegions = "regions";
nlohmann::ordered_json to_json(const Regions& regions);
// Those of a dataset's refined poses, or a normal distribution's.
Regions stored_regions(const Dataset& dataset);

// ---- Calibration ----

// One person's errors, each divided by the standard deviation that was said of it: |e| / sigma,
// [n][17][3]. `known`: the networks were trained on this person, whose errors are smaller for it.
struct Residuals {
  std::string person;
  bool known = false;
  std::vector<float> values;
};

// What 80 % of these values don't exceed, of people whom the networks know or of the others, by
// axis: where a person of n frames weighs n^(1/2). 0 where there is nobody.
std::array<double, 2> reach_of(std::span<const Residuals> people, bool known);

struct Calibration {
  // What the standard deviations are to be multiplied by, [17][3]: of a joint and its mirror image
  // the same, and of x and y.
  std::vector<double> factors = std::vector<double>(3 * kJoints, 1.0);
  Regions regions;
  // How many times larger errors of people are whom the networks don't know, by axis; 1 where
  // there is nobody to learn it of.
  std::array<double, 2> unknown_over_known{1, 1};
};
// Such that the region of 80 % reaches as far as a normal distribution's, 1.28 sigma, and all three
// hold what they should of people whom the networks don't know: how sigma varies over joints is
// learnt from everyone, how large it is from those. A person of n frames weighs n^(1/2). Throws
// Error where there is nobody.
Calibration calibrate(std::span<const Residuals> people);

// ---- How well it went ----

// How many truths lie inside of the regions, of joints but the root in every frame.
struct Coverage {
  std::array<std::array<std::array<std::int64_t, 3>, 2>, kJoints>
      inside{};                                              // by joint, axis, share
  std::array<std::array<std::int64_t, 2>, kJoints> count{};  // by joint, axis
  std::array<double, 2> square_std{};    // sums over joints and frames, metres^2: of deviations,
  std::array<double, 2> square_error{};  // and of errors

  // In percent; joint 0 stands for all of them.
  double share(int joint, int axis, int region) const;
  std::int64_t counted(int joint, int axis) const;
  // Root mean squares over joints and frames.
  double std_mm(int axis) const;
  double error_mm(int axis) const;
};
// Of the sequences with these indices, which have the truth, refined poses and their deviations.
Coverage coverage(const Dataset& dataset, std::span<const int> sequences, const Regions& regions);
// Whether all of them have.
bool knows_std(const Dataset& dataset, std::span<const int> sequences);

// e^x of each coordinate, 0 of the root.
PoseArray std_of_logarithms(PoseArray logarithms);
// Deviations in axes that `rotation` turns the present ones into, as of coordinates whose errors
// are not correlated: var' = R^2 var, R's elements squared.
void rotate_std(PoseArray& std, const Eigen::Matrix3d& rotation);

}  // namespace posetape::data
