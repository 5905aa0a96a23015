#include "data/detector.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "data/detector_events.hpp"
#include "data/skeleton.hpp"
#include "engine/error.hpp"

namespace posetape::data {

std::vector<std::pair<int, int>> random_events(int frames, double fps, double per_second,
                                               double seconds, Random& random) {
  std::vector<std::pair<int, int>> found;
  for (int f = 0; f < frames; ++f) {
    if (random.uniform() >= per_second / fps) continue;
    const double length = 1 - std::log(random.uniform()) * std::max(seconds * fps - 1, 0.0);
    const int last = static_cast<int>(std::min<double>(frames, f + std::floor(length)));
    found.emplace_back(f, last);
    f = last;
  }
  return found;
}

std::vector<double> person_sizes(const PoseArray& truth) {
  std::vector<double> sizes(static_cast<std::size_t>(truth.frames()));
  for (int f = 0; f < truth.frames(); ++f) {
    const float* pose = truth.frame(f);
    for (const Bone& bone : kBones) {
      sizes[f] += std::hypot(pose[2 * bone.child] - pose[2 * bone.parent],
                             pose[2 * bone.child + 1] - pose[2 * bone.parent + 1]);
    }
  }
  return sizes;
}

namespace {

// E|e| of a bivariate Student t of unit scale: sqrt(pi/2) E[sqrt(nu / chi2_nu)].
double mean_radius(int nu) {
  const double half = 0.5 * nu;
  return std::sqrt(std::numbers::pi / 2) * std::sqrt(half) *
         std::exp(std::lgamma(half - 0.5) - std::lgamma(half));
}

// Adds one joint's t-distributed error to all frames. Numerator and denominator of the t are AR(1),
// so a bad stretch is bad for a while.
void add_error(PoseArray& poses, int j, const std::vector<double>& sizes, double fps,
               const DetectorModel& model, Random& random) {
  const int nu = model.degrees_of_freedom;
  const double rho = std::exp(-1 / (fps * model.correlation_seconds));
  const double innovation = std::sqrt(1 - rho * rho);
  const double scale = model.mean_error[j] / mean_radius(nu);
  std::vector<double> state(static_cast<std::size_t>(nu) + 2);
  for (double& s : state) s = random.normal();
  for (int f = 0; f < poses.frames(); ++f) {
    double chi2 = 0;
    for (int i = 0; i < nu; ++i) chi2 += state[i] * state[i];
    const double radius = scale * sizes[f] * std::sqrt(nu / chi2);
    float* p = poses.frame(f) + 2 * j;
    for (int c = 0; c < 2; ++c) p[c] += static_cast<float>(radius * state[nu + c]);
    for (double& s : state) s = rho * s + innovation * random.normal();
  }
}

void add_outages(PoseArray& poses, int j, const std::vector<double>& sizes, double fps,
                 const DetectorModel& model, Random& random) {
  using namespace joint;
  const bool easily_lost = j == right_foot || j == left_foot || j == right_wrist || j == left_wrist;
  const double rate = model.outages_per_second * (easily_lost ? 1.0 : 1.0 / 3);
  for (const auto& [first, last] :
       random_events(poses.frames(), fps, rate, model.outage_seconds, random)) {
    const double angle = random.uniform(0, 2 * std::numbers::pi);
    const double share = random.uniform(model.outage_near, model.outage_far);
    for (int f = first; f < last; ++f) {
      float* p = poses.frame(f) + 2 * j;
      p[0] += static_cast<float>(share * sizes[f] * std::cos(angle));
      p[1] += static_cast<float>(share * sizes[f] * std::sin(angle));
    }
  }
}

void swap_sides(PoseArray& poses, std::array<int, 3> left, double fps, const DetectorModel& model,
                Random& random) {
  for (const auto& [first, last] :
       random_events(poses.frames(), fps, model.swaps_per_second, model.swap_seconds, random)) {
    for (int f = first; f < last; ++f) {
      float* pose = poses.frame(f);
      for (int j : left) {
        std::swap_ranges(pose + 2 * j, pose + 2 * j + 2, pose + 2 * kMirror[j]);
      }
    }
  }
}

}  // namespace

PoseArray detect(const PoseArray& truth, double fps, const DetectorModel& model, Random random) {
  using namespace joint;
  if (truth.channels != 2) fail("detect: poses in pixels have 2 channels, not {}", truth.channels);
  if (!(fps > 0)) fail("detect: the frame rate must be above 0, not {}", fps);
  if (model.degrees_of_freedom < 3) {
    fail("detect: degrees_of_freedom must be at least 3, not {}", model.degrees_of_freedom);
  }
  const std::vector<double> sizes = person_sizes(truth);
  PoseArray poses = truth;
  for (int j = 0; j < kJoints; ++j) {
    add_error(poses, j, sizes, fps, model, random);
    add_outages(poses, j, sizes, fps, model, random);
  }
  swap_sides(poses, {left_hip, left_knee, left_foot}, fps, model, random);
  swap_sides(poses, {left_shoulder, left_elbow, left_wrist}, fps, model, random);
  return poses;
}

}  // namespace posetape::data
