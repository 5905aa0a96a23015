#include "data/bone_lengths.hpp"

#include <Eigen/Core>
#include <array>
#include <vector>

#include "data/figures.hpp"
#include "data/skeleton.hpp"

namespace posetape::data {
namespace {

// Of thighs and shins, upper arms and forearms: those that end in knees and ankles, elbows and
// wrists.
constexpr bool is_limb(int outer_joint) {
  for (const int j : {2, 3, 5, 6, 12, 13, 15, 16}) {
    if (j == outer_joint) return true;
  }
  return false;
}

// By the joint at a bone's outer end; 0 of what is no limb.
std::array<double, kJoints> median_lengths(const PoseArray& poses) {
  std::array<double, kJoints> medians{};
  for (const auto& [parent, child] : kBones) {
    if (!is_limb(child)) continue;
    std::vector<double> lengths;
    for (int f = 0; f < poses.frames(); ++f) {
      const auto pose = pose_at<3>(poses, f);
      lengths.push_back((pose.col(child) - pose.col(parent)).norm());
    }
    medians[std::size_t(child)] = median(std::move(lengths));
  }
  return medians;
}

}  // namespace

PoseArray with_constant_bones(const PoseArray& poses) {
  const std::array<double, kJoints> medians = median_lengths(poses);
  PoseArray result = poses;
  for (int f = 0; f < poses.frames(); ++f) {
    const auto pose = pose_at<3>(poses, f);
    for (const auto& [parent, child] : kBones) {
      const auto c = std::size_t(child);
      const double length = (medians[c] + medians[std::size_t(kMirror[c])]) / 2;
      const Eigen::Vector3d bone = pose.col(child) - pose.col(parent);
      const double own = bone.norm();
      const double scale = is_limb(child) && own > 0 ? length / own : 1;
      Eigen::Map<const Eigen::Vector3f> from(result.frame(f) + 3 * parent);
      const Eigen::Vector3d moved = from.cast<double>() + scale * bone;
      Eigen::Map<Eigen::Vector3f>(result.frame(f) + 3 * child) = moved.cast<float>();
    }
  }
  return result;
}

}  // namespace posetape::data
