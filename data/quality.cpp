#include "data/quality.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "data/figures.hpp"
#include "data/metrics.hpp"
#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

double mean_jitter(const PoseArray& poses, double fps, std::span<const int> joints) {
  const int frames = poses.frames();
  if (frames < 3) return 0;
  double sum = 0;
  for (int f = 1; f + 1 < frames; ++f) {
    const auto second =
        (pose_at<3>(poses, f - 1) - 2 * pose_at<3>(poses, f) + pose_at<3>(poses, f + 1)).eval();
    for (const int j : joints) sum += second.col(j).norm();
  }
  const double per_frame = 1000 * sum / ((frames - 2) * double(joints.size()));
  return per_frame * (fps / 50) * (fps / 50);
}

double mean_bone_spread(const PoseArray& poses) {
  const int frames = poses.frames();
  double spread = 0;
  for (const auto& [parent, child] : kBones) {
    double sum = 0;
    double squares = 0;
    for (int f = 0; f < frames; ++f) {
      const auto pose = pose_at<3>(poses, f);
      const double length = (pose.col(child) - pose.col(parent)).norm();
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
  const auto hips = [&](int frame) -> Eigen::Vector3d {
    const auto pose = pose_at<3>(poses, frame);
    return pose.col(kLeft) - pose.col(kRight);
  };
  for (int f = 0; f + apart < poses.frames(); ++f) {
    const Eigen::Vector3d before = hips(f);
    const Eigen::Vector3d after = hips(f + apart);
    if (before.dot(after) >= kCosine * before.norm() * after.norm()) continue;
    ++count;
    f += apart;  // the same turn is seen from several frames
  }
  return count;
}

}  // namespace

Quality quality(const PoseArray& poses, double fps) {
  Quality q;
  std::array<int, kJoints - 1> all_but_root{};
  std::iota(all_but_root.begin(), all_but_root.end(), 1);
  q.jitter = mean_jitter(poses, fps, all_but_root);
  q.foot_jitter = mean_jitter(poses, fps, std::array{joint::right_foot, joint::left_foot});
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
