// Errors of estimated poses, frame by frame, and the distribution of many.
//
// In the equations x_j is joint j of the truth and y_j of the estimate, j = 0 ... J - 1 with
// J = 17, both relative to the root; |.| is the length of a vector. Poses are in metres, errors in
// millimetres. data/evaluation.hpp averages over frames, sequences and actions.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

// One pose in [17][3].
using Pose = std::array<double, 3 * kJoints>;
using JointErrors = std::array<double, kJoints>;  // mm

// e_j = 1000 (y_j - x_j), mm.
Pose error_vectors(const Pose& estimate, const Pose& truth);

// |e_j| of every joint, in the unit of e. Their mean is the pose's MPJPE = 1/J sum_j |e_j|.
JointErrors joint_errors(const Pose& error);

// 1/J sum_j |v_j|. Of e it is the MPJPE. Of e(f) - e(f-1) it is the velocity error (MPJVE,
// mm/frame), because the difference of velocities is the velocity of the difference; of
// e(f) - 2 e(f-1) + e(f-2) the acceleration error (mm/frame^2).
double mean_length(const Pose& vectors);

// P-MPJPE: 1/J sum_j |s R y_j + t - x_j| with the scale s, the rotation R and the translation t
// that minimise sum_j |s R y_j + t - x_j|^2.
double p_mpjpe(const Pose& estimate, const Pose& truth);

// N-MPJPE: 1/J sum_j |s y_j - x_j| with s = <x, y> / <y, y>.
double n_mpjpe(const Pose& estimate, const Pose& truth);

// The estimate under the similarity transform of p_mpjpe (Procrustes; no reflection). A pose with
// all joints in one point is moved onto the truth's centre.
Pose procrustes(const Pose& estimate, const Pose& truth);

// 1/B sum_b | |y_c - y_p| - |x_c - x_p| | over the B = 16 bones b from p to c (kBones).
double bone_length_error(const Pose& estimate, const Pose& truth);

// 1/P sum_b | |y_c - y_p| - |y_c' - y_p'| | over the P = 6 bones on the left, with c' and p' the
// joints on the other side: how unequal the halves of the estimated body are.
double symmetry_error(const Pose& estimate);

// PCK of MPI-INF-3DHP: the share of joints with |e_j| < threshold, in percent, over 14 joints:
// without pelvis, spine and neck/nose (that data set's "head", the 17th beside the head's top).
double pck(const JointErrors& errors, double threshold_mm = 150);

// AUC: the mean of PCK over the 31 thresholds 0, 5, ..., 150 mm, in percent.
double auc(const JointErrors& errors);

// The speed in mm/frame that wrists and ankles exceed in 1 % of the frames: the 0.99-quantile of
// |1000 (y_j(f) - y_j(f-1))| over these four joints and all frames f >= 1. Of an estimate, divided
// by that of the truth, it tells smoothing from loss of signal: jitter makes it larger than 1, and
// a filter that takes quick motion for jitter smaller. NaN of less than two poses.
double peak_speed(std::span<const Pose> poses);

// The q-quantile, q in [0, 1], of sorted values, linear between two of them (numpy's default).
// NaN where there are none.
double quantile(std::span<const double> sorted, double q);

// How many values are in [0, 5), [5, 10), ..., [145, 150) mm, and last from 150 mm on: the
// distribution of the poses' MPJPE that D3PRefiner's Fig. 4 shows.
inline constexpr double kBinWidth = 5;  // mm
inline constexpr std::size_t kBins = 31;
using Histogram = std::array<std::int64_t, kBins>;
Histogram histogram(std::span<const double> values);

}  // namespace posetape::data
