// Scores of a dataset's estimates under a protocol, per sequence, action and on average.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.hpp"
#include "data/metrics.hpp"
#include "data/protocol.hpp"

namespace posetape::data {

// Means of what data/metrics.hpp defines. A mean over nothing (the velocity of a single frame) is
// NaN. Of peak speeds, each divided by the truth's, clips count in which the truth's is above 0.2
// m/s: of who stands still, any estimate is many times too quick.
struct Scores {
  double mpjpe = 0;         // mm
  double p_mpjpe = 0;       // mm, after a similarity transform of each frame
  double n_mpjpe = 0;       // mm, after scaling each frame
  double mpjve = 0;         // mm/frame, of first differences
  double acceleration = 0;  // mm/frame^2, of second differences
  double bone_length = 0;   // mm
  double symmetry = 0;      // mm, of the estimate alone
  double pck = 0;           // %, below 150 mm
  double auc = 0;           // %
  double peak_speed = 0;    // % of the truth's
  JointErrors joints{};     // mm, MPJPE of each joint
};

struct SequenceScores {
  int index = 0;  // in Dataset::sequences
  std::string name;
  std::string clip;                // Sequence::clip()
  std::string action;              // action_class()
  std::int64_t frames = 0;         // that were scored
  std::int64_t velocities = 0;     // what the means of velocities and
  std::int64_t accelerations = 0;  // accelerations weigh in the action's, and
  std::int64_t speeds = 0;         // its peak speed: 0 where nothing moves
  Scores mean;
};

struct ActionScores {
  std::string action;
  std::int64_t frames = 0;
  Scores mean;  // frame-weighted over the action's sequences
};

struct Evaluation {
  std::vector<SequenceScores> sequences;  // in the order they were given
  std::vector<ActionScores> actions;      // in Human3.6M's order, others by name
  std::int64_t frames = 0;
  Scores average;             // unweighted mean over the actions, the figure papers report
  std::vector<double> poses;  // mm, MPJPE of every scored frame, in the order of sequences
};

// A metric for tables: its name and unit, and where it is.
struct Metric {
  const char* title;
  const char* unit;
  const char* key;
  double Scores::*value;
  std::int64_t SequenceScores::*count;  // its weight in the action's mean
};
// Whether less of it is better, so that a drop in percent says something; else it is a share.
constexpr bool is_error(const Metric& metric) {
  return std::string_view(metric.unit) != "%";
}
inline constexpr std::array<Metric, 10> kMetrics{{
    {"MPJPE", "mm", "mpjpe_mm", &Scores::mpjpe, &SequenceScores::frames},
    {"P-MPJPE", "mm", "p_mpjpe_mm", &Scores::p_mpjpe, &SequenceScores::frames},
    {"N-MPJPE", "mm", "n_mpjpe_mm", &Scores::n_mpjpe, &SequenceScores::frames},
    {"MPJVE", "mm/frame", "mpjve_mm_per_frame", &Scores::mpjve, &SequenceScores::velocities},
    {"Acceleration error", "mm/frame^2", "acceleration_error_mm_per_frame2", &Scores::acceleration,
     &SequenceScores::accelerations},
    {"Bone length error", "mm", "bone_length_error_mm", &Scores::bone_length,
     &SequenceScores::frames},
    {"Left/right asymmetry", "mm", "symmetry_error_mm", &Scores::symmetry, &SequenceScores::frames},
    {"PCK@150", "%", "pck_150_percent", &Scores::pck, &SequenceScores::frames},
    {"AUC", "%", "auc_percent", &Scores::auc, &SequenceScores::frames},
    {"Peak speed", "%", "peak_speed_percent", &Scores::peak_speed, &SequenceScores::speeds},
}};

// The action up to its first space: Human3.6M's "Directions 1" is a take of "Directions".
std::string action_class(const Sequence& sequence);

// Scores the estimate, e.g. &Sequence::noisy_3d, of the sequences with these indices. `frames` is
// the window's T, where the protocol counts each window: the last one as it was estimated, where
// the sequence has it whole (Sequence::noisy_3d_last_window, of T frames), else from the estimate's
// frames, the last of which stands for padding. The result does not depend on the number of
// threads. Throws Error if there is no sequence, one lacks the estimate or the truth, their frame
// rates differ (velocities are per frame), or T is needed and not given.
Evaluation evaluate(const Dataset& dataset, std::span<const int> sequences,
                    std::optional<PoseArray> Sequence::*estimate, const Protocol& protocol = {},
                    int frames = 0);

// |y_j - x_j| of each joint in one frame of a sequence, metres. As everywhere the truth is made
// relative to the root; the estimate is taken to be so.
JointErrors joint_distances(const Sequence& sequence, const PoseArray& estimate, int frame);

// MPJPE of estimates, each of sequences[i], over all their frames alike, mm: what chooses the best
// epoch of a training. 0 where there is no frame. Throws Error where a sequence lacks the truth.
double mpjpe(const Dataset& dataset, std::span<const int> sequences,
             std::span<const PoseArray> estimates);
// The same of the base estimates, their root at zero. Throws Error where a sequence lacks one.
double base_mpjpe(const Dataset& dataset, std::span<const int> sequences);

// A figure with its central 95 % interval; NaN where there is no interval.
struct Interval {
  double median = 0;
  double low = 0;
  double high = 0;
};

struct MetricIntervals {
  Interval base;
  Interval refined;
  Interval difference;  // refined - base
  Interval gain;        // how much lower refined is, in percent of the base
};

struct Bootstrap {
  int clips = 0;                                         // that were resampled
  std::array<MetricIntervals, kMetrics.size()> metrics;  // as in kMetrics
};

// How sure the average figures are, and the difference between two estimates of the same poses, by
// a paired bootstrap: clips are drawn with replacement, the same for both evaluations.
//
// The unit is the clip `<subject>/<action>` with all of its cameras. The cameras of a clip film
// the same motion, so they are not independent, and drawing them one by one would make the
// interval too narrow. A clip carries the weight that it has in Evaluation::average.
//
// Throws Error if the evaluations are not of the same sequences. One clip alone has no interval.
Bootstrap bootstrap(const Evaluation& base, const Evaluation& refined, std::uint64_t seed,
                    int resamples = 2000);

}  // namespace posetape::data
