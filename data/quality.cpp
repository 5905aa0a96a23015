#include "data/quality.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <vector>

#include "data/metrics.hpp"
#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

using Vec = Eigen::Vector3d;

Vec joint(const PoseArray& poses, int frame, int j) {
  return Eigen::Map<const Eigen::Vector3f>(poses.frame(frame) + 3 * j).cast<double>();
}

double mean_jitter(const PoseArray& poses, double fps) {
  const int frames = poses.frames();
  if (frames < 3) return 0;
  double sum = 0;
  for (int f = 1; f + 1 < frames; ++f) {
    for (int j = 1; j < kJoints; ++j) {
      const Vec second = joint(poses, f - 1, j) - 2 * joint(poses, f, j) + joint(poses, f + 1, j);
      sum += second.norm();
    }
  }
  const double per_frame = 1000 * sum / ((frames - 2) * (kJoints - 1));
  return per_frame * (fps / 50) * (fps / 50);
}

double mean_bone_spread(const PoseArray& poses) {
  const int frames = poses.frames();
  double spread = 0;
  for (const auto& [parent, child] : kBones) {
    double sum = 0;
    double squares = 0;
    for (int f = 0; f < frames; ++f) {
      const double length = (joint(poses, f, child) - joint(poses, f, parent)).norm();
      sum += length;
      squares += length * length;
    }
    if (!(sum > 0)) continue;
    const double mean = sum / frames;
    spread += std::sqrt(std::max(0.0, squares / frames - mean * mean)) / mean;
  }
  return 100 * spread / double(kBones.size());
}

int count_turn_rounds(const PoseArray& poses, double fps) {
  constexpr int kRight = 1, kLeft = 4;  // hip joints
  constexpr double kCosine = -0.5;      // 120 degrees
  const int apart = std::max(1, int(std::lround(0.2 * fps)));
  int count = 0;
  for (int f = 0; f + apart < poses.frames(); ++f) {
    const Vec before = joint(poses, f, kLeft) - joint(poses, f, kRight);
    const Vec after = joint(poses, f + apart, kLeft) - joint(poses, f + apart, kRight);
    if (before.dot(after) >= kCosine * before.norm() * after.norm()) continue;
    ++count;
    f += apart;  // the same turn is seen from several frames
  }
  return count;
}

}  // namespace

Quality quality(const PoseArray& poses, double fps) {
  Quality q;
  q.jitter = mean_jitter(poses, fps);
  std::vector<Pose> all;
  for (int f = 0; f < poses.frames(); ++f) {
    Pose& pose = all.emplace_back();
    std::copy_n(poses.frame(f), pose.size(), pose.begin());
  }
  if (all.size() > 1) q.peak_speed = peak_speed(all) * fps / 1000;
  q.bone_spread = mean_bone_spread(poses);
  q.turn_rounds = count_turn_rounds(poses, fps);
  return q;
}

double guessed_share(const Sequence& sequence) {
  if (!sequence.confidence || sequence.confidence->empty()) return -1;
  const auto guessed = std::ranges::count(*sequence.confidence, 0.0F);
  return 100 * double(guessed) / double(sequence.confidence->size());
}

}  // namespace posetape::data
