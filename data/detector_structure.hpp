// A 2D detector with the structure that real ones have: what is wrong with a joint stays wrong for
// a while, or for the whole clip, and mistakes come as events that move several joints at once.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.hpp"
#include "engine/choices.hpp"
#include "engine/rng.hpp"

namespace posetape::data {

// The parts of the model; each can be left out, and draws nothing that another one draws.
enum class DetectorPart {
  hips,
  bias,
  slow,
  jitter,
  common,
  collapse,
  turn,
  outage,
  missing,
  confidence
};
constexpr auto choices(DetectorPart) {
  using enum DetectorPart;
  return make_choices<DetectorPart>(
      "detector part", {{hips, "hips", "hip joints too far out and up"},
                        {bias, "bias", "an error of each joint, the same all through a clip"},
                        {slow, "slow", "one that changes within a second"},
                        {jitter, "jitter", "one that changes within frames, with a heavy tail"},
                        {common, "common", "a shift of the whole body"},
                        {collapse, "collapse", "both legs on one for a moment"},
                        {turn, "turn", "all joints change sides for a moment"},
                        {outage, "outage", "a joint found elsewhere for a moment"},
                        {missing, "missing", "a joint not found: confidence 0, bridged over time"},
                        {confidence, "confidence", "how sure the detector says it is"}});
}
inline constexpr std::size_t kDetectorParts = kChoices<DetectorPart>.list.size();
using DetectorParts = std::array<bool, kDetectorParts>;  // by DetectorPart
constexpr DetectorParts all_detector_parts() {
  DetectorParts parts{};
  parts.fill(true);
  return parts;
}

// Lengths are shares of the person's size in the image, the summed length of the 16 projected bones
// (as in DetectorModel). data/README.md has the real figures that the presets were fitted to.
struct DetectorStructure {
  // Mean distance of each joint (Human3.6M order) from its place by the next four parts together.
  std::array<double, kJoints> level{};
  // Their shares of the variance; the rest is jitter.
  double bias_share = 0.35, slow_share = 0.25, common_share = 0.1;
  // How long each hangs together: AR(1) with correlation exp(-dt / this).
  double slow_seconds = 0.6, jitter_seconds = 0.08, common_seconds = 0.3;
  int degrees_of_freedom = 5;  // of the jitter's Student t

  // Hip joints (negative: the other way): outwards as a share of their projected distance, and up,
  // towards the thorax, of the distance between hip and thorax. The hip itself goes up with them.
  double hips_out = 0, hips_up = 0;

  // Events: how many a second and their mean length. Knee and ankle of one leg are put where the
  // other's are; all joints change sides; one joint is found `outage_near` to `outage_far` away
  // (wrists and ankles, the others a third as often).
  double collapses_per_second = 0.05, collapse_seconds = 0.3;
  double turns_per_second = 0.02, turn_seconds = 0.35;
  double outages_per_second = 0.06, outage_seconds = 0.1;
  double outage_near = 0.03, outage_far = 0.2;

  // Share of joints that are missing, in bursts of this mean length, none above half a second: of
  // wrists and ankles; the others half of it.
  double missing_share = 0.11, missing_seconds = 0.2;

  // Confidence where nothing is wrong, its deviation from frame to frame, and what it loses for an
  // error of one level, and in an outage or a collapse. A turn-round costs nothing: detectors are
  // sure of it.
  double confidence_level = 0.8, confidence_deviation = 0.05;
  double confidence_slope = 0.03, confidence_event = 0.25;

  DetectorParts parts = all_detector_parts();
  bool has(DetectorPart part) const { return parts[static_cast<std::size_t>(part)]; }
};

// Fitted to detections of these programs.
DetectorStructure openpose_structure();
DetectorStructure mediapipe_structure();

struct Detections {
  PoseArray poses;                // [F][17][2], pixels
  std::vector<float> confidence;  // [F][17]; empty where no part gives one
};

// Detections for exact pixel positions [F][17][2]. Each part draws from a stream of its own of
// (seed, sequence), so that leaving one out changes none of the others.
Detections detect(const PoseArray& truth, double fps, const DetectorStructure& detector,
                  std::uint64_t seed, std::uint64_t sequence);

}  // namespace posetape::data
