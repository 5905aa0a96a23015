#include "data/joint_orders.hpp"

#include <fmt/ranges.h>

#include "data/figures.hpp"

namespace posetape::data {
namespace {

constexpr JointSource one(int a) {
  return {{a, 0, 0, 0}, 1};
}
constexpr JointSource mean(int a, int b) {
  return {{a, b, 0, 0}, 2};
}
constexpr JointSource mean(int a, int b, int c, int d) {
  return {{a, b, c, d}, 4};
}

}  // namespace

std::string advice(const JointOrderRule& rule, std::string_view field) {
  std::vector<int> order;
  for (const JointSource& source : rule.sources) {
    if (source.count > 1)
      return "`posetape prepare keypoints --layout coco` puts 2D poses into ours";
    order.push_back(source.joints[0]);
  }
  return fmt::format("numpy: {}[:, [{}]]", field, fmt::join(order, ", "));
}

const std::array<JointOrderRule, 3>& other_joint_orders() {
  static constexpr std::array<JointOrderRule, 3> rules{
      {{"COCO",
        {mean(11, 12), one(12), one(14), one(16), one(11), one(13), one(15), mean(5, 6, 11, 12),
         mean(5, 6), one(0), mean(1, 2), one(5), one(7), one(9), one(6), one(8), one(10)}},
       {"MPI-INF-3DHP",
        {one(14), one(8), one(9), one(10), one(11), one(12), one(13), one(15), one(1), one(16),
         one(0), one(5), one(6), one(7), one(2), one(3), one(4)}},
       {"LSP (SPIN, VIBE)",
        {one(14), one(2), one(1), one(0), one(3), one(4), one(5), one(15), one(12), one(16),
         one(13), one(9), one(10), one(11), one(8), one(7), one(6)}}}};
  return rules;
}

PoseArray from_order(const PoseArray& poses, const JointOrderRule& rule) {
  PoseArray ours{poses.channels, std::vector<float>(poses.values.size())};
  for (int f = 0; f < poses.frames(); ++f) {
    for (int j = 0; j < kJoints; ++j) {
      const JointSource& source = rule.sources[std::size_t(j)];
      for (int c = 0; c < poses.channels; ++c) {
        double sum = 0;
        for (int i = 0; i < source.count; ++i) {
          sum += poses.frame(f)[source.joints[std::size_t(i)] * poses.channels + c];
        }
        ours.frame(f)[j * poses.channels + c] = static_cast<float>(sum / source.count);
      }
    }
  }
  return ours;
}

const JointOrderRule* other_order_of(const PoseArray& poses) {
  // Of clips in our order, read as if they were in another, the skeleton is 1.2 times as long or
  // more; of those in the other, at most 0.85 times.
  constexpr double kShorter = 0.92;
  const double ours = tree_ratio(poses);
  const JointOrderRule* best = nullptr;
  // And it has to be a skeleton then.
  double least = std::min(kShorter * ours, poses.channels == 3 ? 1.5 : 2.2);
  for (const JointOrderRule& rule : other_joint_orders()) {
    const double ratio = tree_ratio(from_order(poses, rule));
    if (ratio >= least) continue;
    least = ratio;
    best = &rule;
  }
  return best;
}

}  // namespace posetape::data
