#include "data/detector_structure.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "data/detector_events.hpp"
#include "data/gaps.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {
namespace {

using namespace joint;

// E|e| of a bivariate normal of unit deviation.
const double kMeanRadius = std::sqrt(std::numbers::pi / 2);

bool is_tip(int j) {
  return j == right_foot || j == left_foot || j == right_wrist || j == left_wrist;
}

class Detector {
 public:
  Detector(const PoseArray& truth, double fps, const DetectorStructure& model, std::uint64_t seed,
           std::uint64_t sequence)
      : truth_(truth),
        fps_(fps),
        model_(model),
        seed_(seed),
        sequence_(sequence),
        sizes_(person_sizes(truth)),
        poses_(truth),
        loss_(std::size_t(truth.frames()) * kJoints) {}

  Detections run() {
    // Where a detector's joints are differs from the truth's; then it errs; then it is mistaken.
    using enum DetectorPart;
    if (has(hips)) move_hips();
    const PoseArray meant = poses_;
    if (has(bias)) add_bias();
    if (has(slow)) add_slow();
    if (has(jitter)) add_jitter();
    if (has(common)) add_common();
    if (has(confidence)) lose_by_error(meant);
    if (has(collapse)) collapse_legs();
    if (has(turn)) turn_round();
    if (has(outage)) find_elsewhere();
    Detections result;
    if (has(confidence)) result.confidence = draw_confidence();
    if (has(missing)) lose_joints(result.confidence);
    result.poses = std::move(poses_);
    return result;
  }

 private:
  bool has(DetectorPart part) const { return model_.has(part); }
  Random random(DetectorPart part) const {
    const auto number = static_cast<std::uint64_t>(part);
    return {seed_, Stream::detector, sequence_ * kDetectorParts + number + 1};
  }
  int frames() const { return truth_.frames(); }
  float* at(int f, int j) { return poses_.frame(f) + 2 * j; }
  double& loss(int f, int j) { return loss_[std::size_t(f) * kJoints + std::size_t(j)]; }

  // Deviation of x and of y, as a share of the size, that gives a joint a share of its variance.
  double deviation(int j, double share) const {
    return model_.level[std::size_t(j)] / kMeanRadius * std::sqrt(share);
  }
  void shift(int f, int j, double x, double y) {
    float* p = at(f, j);
    p[0] += static_cast<float>(x * sizes_[std::size_t(f)]);
    p[1] += static_cast<float>(y * sizes_[std::size_t(f)]);
  }

  void move_hips() {
    for (int f = 0; f < frames(); ++f) {
      for (int c = 0; c < 2; ++c) {
        const auto coordinate = [&](int j) -> float& { return at(f, j)[c]; };
        const double across = model_.hips_out * (coordinate(left_hip) - coordinate(right_hip));
        const double up = model_.hips_up * (coordinate(thorax) - coordinate(hip));
        coordinate(hip) += static_cast<float>(up);
        coordinate(left_hip) += static_cast<float>(up + across);
        coordinate(right_hip) += static_cast<float>(up - across);
      }
    }
  }

  void add_bias() {
    Random draws = random(DetectorPart::bias);
    for (int j = 0; j < kJoints; ++j) {
      const double s = deviation(j, model_.bias_share);
      const double x = s * draws.normal(), y = s * draws.normal();
      for (int f = 0; f < frames(); ++f) shift(f, j, x, y);
    }
  }

  // x and y that hang together over time, each of unit variance.
  template <class Use>
  void walk(double seconds, Random& draws, Use use) {
    const double rho = std::exp(-1 / (fps_ * seconds));
    const double innovation = std::sqrt(1 - rho * rho);
    double x = draws.normal(), y = draws.normal();
    for (int f = 0; f < frames(); ++f) {
      use(f, x, y);
      x = rho * x + innovation * draws.normal();
      y = rho * y + innovation * draws.normal();
    }
  }

  void add_slow() {
    Random draws = random(DetectorPart::slow);
    for (int j = 0; j < kJoints; ++j) {
      const double s = deviation(j, model_.slow_share);
      walk(model_.slow_seconds, draws,
           [&](int f, double x, double y) { shift(f, j, s * x, s * y); });
    }
  }

  // A Student t whose numerator and denominator hang together over time.
  void add_jitter() {
    Random draws = random(DetectorPart::jitter);
    const int nu = model_.degrees_of_freedom;
    const double share = 1 - model_.bias_share - model_.slow_share - model_.common_share;
    const double rho = std::exp(-1 / (fps_ * model_.jitter_seconds));
    const double innovation = std::sqrt(1 - rho * rho);
    std::vector<double> state(std::size_t(nu) + 2);
    for (int j = 0; j < kJoints; ++j) {
      const double s = deviation(j, share) * std::sqrt((nu - 2.0) / nu);
      for (double& v : state) v = draws.normal();
      for (int f = 0; f < frames(); ++f) {
        double chi2 = 0;
        for (int i = 0; i < nu; ++i) chi2 += state[std::size_t(i)] * state[std::size_t(i)];
        const double radius = s * std::sqrt(nu / chi2);
        shift(f, j, radius * state[std::size_t(nu)], radius * state[std::size_t(nu) + 1]);
        for (double& v : state) v = rho * v + innovation * draws.normal();
      }
    }
  }

  void add_common() {
    Random draws = random(DetectorPart::common);
    walk(model_.common_seconds, draws, [&](int f, double x, double y) {
      for (int j = 0; j < kJoints; ++j) {
        const double s = deviation(j, model_.common_share);
        shift(f, j, s * x, s * y);
      }
    });
  }

  void lose_by_error(const PoseArray& meant) {
    for (int f = 0; f < frames(); ++f) {
      for (int j = 0; j < kJoints; ++j) {
        const float* p = meant.frame(f) + 2 * j;
        const double off = std::hypot(at(f, j)[0] - p[0], at(f, j)[1] - p[1]);
        const double level = model_.level[std::size_t(j)] * sizes_[std::size_t(f)];
        if (level > 0) loss(f, j) += model_.confidence_slope * off / level;
      }
    }
  }

  void collapse_legs() {
    Random draws = random(DetectorPart::collapse);
    for (const auto& [first, last] : random_events(frames(), fps_, model_.collapses_per_second,
                                                   model_.collapse_seconds, draws)) {
      const bool to_left = draws.below(2) == 1;
      for (int f = first; f < last; ++f) {
        for (int j : {left_knee, left_foot}) {
          const int lost = to_left ? kMirror[std::size_t(j)] : j;
          std::copy_n(at(f, kMirror[std::size_t(lost)]), 2, at(f, lost));
          loss(f, lost) += model_.confidence_event;
        }
      }
    }
  }

  void turn_round() {
    Random draws = random(DetectorPart::turn);
    for (const auto& [first, last] :
         random_events(frames(), fps_, model_.turns_per_second, model_.turn_seconds, draws)) {
      for (int f = first; f < last; ++f) {
        for (const int j : kLeftJoints)
          std::swap_ranges(at(f, j), at(f, j) + 2, at(f, kMirror[std::size_t(j)]));
      }
    }
  }

  void find_elsewhere() {
    Random draws = random(DetectorPart::outage);
    for (int j = 0; j < kJoints; ++j) {
      const double rate = model_.outages_per_second / (is_tip(j) ? 1 : 3);
      for (const auto& [first, last] :
           random_events(frames(), fps_, rate, model_.outage_seconds, draws)) {
        const double angle = draws.uniform(0, 2 * std::numbers::pi);
        const double share = draws.uniform(model_.outage_near, model_.outage_far);
        for (int f = first; f < last; ++f) {
          shift(f, j, share * std::cos(angle), share * std::sin(angle));
          loss(f, j) += model_.confidence_event;
        }
      }
    }
  }

  std::vector<float> draw_confidence() {
    Random draws = random(DetectorPart::confidence);
    std::vector<float> confidence(loss_.size());
    for (std::size_t i = 0; i < loss_.size(); ++i) {
      const double sure =
          model_.confidence_level + model_.confidence_deviation * draws.normal() - loss_[i];
      confidence[i] = static_cast<float>(std::clamp(sure, 0.02, 1.0));
    }
    return confidence;
  }

  // A joint that is missing all through a clip (of a few frames) stays where it is.
  void lose_joints(std::vector<float>& confidence) {
    Random draws = random(DetectorPart::missing);
    confidence.resize(loss_.size(), 1.0f);
    const int longest = std::max(1, longest_gap(fps_));
    for (int j = 0; j < kJoints; ++j) {
      const double share = model_.missing_share / (is_tip(j) ? 1 : 2);
      // The events take their share of the frames that are not in one.
      const double rate = share / (model_.missing_seconds * (1 - share));
      int free = 0;  // frames up to here are settled: two gaps are never one
      for (auto [first, last] :
           random_events(frames(), fps_, rate, model_.missing_seconds, draws)) {
        last = std::min(last, first + longest);
        if (first < free || (first == 0 && last == frames())) continue;
        for (int f = first; f < last; ++f)
          confidence[std::size_t(f) * kJoints + std::size_t(j)] = 0;
        bridge(poses_, {j, first, last});
        free = last + 1;
      }
    }
  }

  const PoseArray& truth_;
  const double fps_;
  const DetectorStructure& model_;
  const std::uint64_t seed_;
  const std::uint64_t sequence_;
  const std::vector<double> sizes_;
  PoseArray poses_;
  std::vector<double> loss_;  // of confidence, [F][17]
};

}  // namespace

DetectorStructure openpose_structure() {
  return {.level = {0.0065,                          // hip
                    0.0085, 0.0065, 0.0050,          // right hip, knee, ankle
                    0.0085, 0.0065, 0.0050,          // left hip, knee, ankle
                    0.0040, 0.0042, 0.0035, 0.0045,  // spine, thorax, nose, head
                    0.0045, 0.0055, 0.0048,          // left shoulder, elbow, wrist
                    0.0045, 0.0055, 0.0048},         // right shoulder, elbow, wrist
          .hips_out = 0.1,
          .hips_up = 0.05,
          .confidence_level = 0.72,
          .confidence_deviation = 0.04};
}

DetectorStructure mediapipe_structure() {
  return {.level = {0.0090,                          // hip
                    0.0100, 0.0085, 0.0070,          // right hip, knee, ankle
                    0.0100, 0.0085, 0.0070,          // left hip, knee, ankle
                    0.0065, 0.0070, 0.0090, 0.0100,  // spine, thorax, nose, head
                    0.0085, 0.0085, 0.0095,          // left shoulder, elbow, wrist
                    0.0085, 0.0085, 0.0095},         // right shoulder, elbow, wrist
          .bias_share = 0.5,
          .slow_share = 0.25,
          .common_share = 0.04,
          .jitter_seconds = 0.2,
          .hips_out = -0.05,
          .hips_up = -0.05,
          .turns_per_second = 0.1,
          .missing_share = 0,
          .confidence_level = 0.97,
          .confidence_deviation = 0.02,
          .confidence_slope = 0.02,
          .confidence_event = 0.1};
}

Detections detect(const PoseArray& truth, double fps, const DetectorStructure& detector,
                  std::uint64_t seed, std::uint64_t sequence) {
  if (truth.channels != 2) fail("detect: poses in pixels have 2 channels, not {}", truth.channels);
  if (!(fps > 0)) fail("detect: the frame rate must be above 0, not {}", fps);
  return Detector(truth, fps, detector, seed, sequence).run();
}

}  // namespace posetape::data
