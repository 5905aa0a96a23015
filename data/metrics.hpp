// Errors of estimated poses, and how sure a difference between two estimates is.
//
// Every error is in millimetres, over all 17 joints of poses relative to the root: joint 0 of the
// truth is subtracted, joint 0 of the estimate is set to zero (as the network sees it,
// gather_noisy), and both roots count in the mean, as they do in VideoPose3D and its descendants.
// Velocities and accelerations are differences of consecutive frames, per frame and not per
// second, and never cross from one sequence to another.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace posetape::data {

// Means. A mean over nothing (the velocity of a single frame) is NaN.
struct Scores {
  double mpjpe = 0;                      // mm
  double p_mpjpe = 0;                    // mm, after a similarity transform of each frame
  double n_mpjpe = 0;                    // mm, after scaling each frame
  double mpjve = 0;                      // mm/frame, of first differences
  double acceleration = 0;               // mm/frame^2, of second differences
  std::array<double, kJoints> joints{};  // mm, MPJPE of each joint
};

struct SequenceScores {
  int index = 0;  // in Dataset::sequences
  std::string name;
  std::string clip;    // Sequence::clip()
  std::string action;  // action_class()
  std::int64_t frames = 0;
  Scores mean;
};

struct ActionScores {
  std::string action;
  std::int64_t frames = 0;
  Scores mean;  // frame-weighted over the action's sequences
};

struct Evaluation {
  std::vector<SequenceScores> sequences;  // in the order they were given
  std::vector<ActionScores> actions;      // by name
  std::int64_t frames = 0;
  Scores average;  // unweighted mean over the actions, the figure papers report
};

// The action up to its first space: Human3.6M's "Directions 1" is a take of "Directions".
std::string action_class(const Sequence& sequence);

// Scores the estimate, e.g. &Sequence::noisy_3d, of the sequences with these indices. The result
// does not depend on the number of threads. Throws Error if there is no sequence, or one lacks
// the estimate or the truth.
Evaluation evaluate(const Dataset& dataset, std::span<const int> sequences,
                    std::optional<PoseArray> Sequence::*estimate);

// One pose in [17][3].
using Pose = std::array<double, 3 * kJoints>;

// The similarity transform of `estimate` that is closest to `truth` in squared distance, without
// reflection (Procrustes). A pose with all joints in one point is moved onto the truth's centre.
Pose procrustes(const Pose& estimate, const Pose& truth);

// A quantity in percent with its central 95 % interval; NaN where there is no interval.
struct Interval {
  double median = 0;
  double low = 0;
  double high = 0;
};

struct Gains {
  int clips = 0;  // that were resampled
  Interval mpjpe;
  Interval p_mpjpe;
};

// How much lower the second evaluation's average errors are, in percent of the first's, by a
// paired bootstrap: clips are drawn with replacement, the same for both evaluations.
//
// The unit is the clip `<subject>/<action>` with all of its cameras. The cameras of a clip film
// the same motion, so they are not independent, and drawing them one by one would make the
// interval too narrow. A clip carries the weight that it has in Evaluation::average.
//
// Throws Error if the evaluations are not of the same sequences. One clip alone has no interval.
Gains bootstrap_gains(const Evaluation& base, const Evaluation& refined, std::uint64_t seed,
                      int resamples = 2000);

}  // namespace posetape::data
