// The other orders in which programs keep 17 joints, which no shape tells from Human3.6M's.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "data/dataset.hpp"

namespace posetape::data {

struct JointSource {
  // The mean of so many joints of the other order.
  std::array<int, 4> joints;
  int count;
};

struct JointOrderRule {
  std::string_view name;
  std::array<JointSource, kJoints> sources;
};

// COCO, the 17 of P-STMO's MPI-INF-3DHP files, and the order of LSP's 14 with neck, head and hip
// behind them (SPIN, VIBE, Pose2Mesh).
const std::array<JointOrderRule, 3>& other_joint_orders();

// Poses in `rule`'s order, in ours.
PoseArray from_order(const PoseArray& poses, const JointOrderRule& rule);

// What makes poses of `field` ours.
std::string advice(const JointOrderRule& rule, std::string_view field);

// The order that poses are in, where joining them as it does makes a shorter skeleton than ours;
// nullptr where ours is the best.
const JointOrderRule* other_order_of(const PoseArray& poses);

}  // namespace posetape::data
