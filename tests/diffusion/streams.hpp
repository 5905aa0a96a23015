// Streams in tests: a network that changes nothing, and frames of a sequence through them.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "diffusion/stream.hpp"

namespace posetape::test {

using Pose = diffusion::PoseStream::Pose;
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

inline diffusion::Inference unchanged() {
  return {
      {data::Field::noisy}, Device::cpu, [](std::span<const Tensor> in) { return in[0].clone(); }};
}

template <class Stream>
void push(Stream& stream, const data::Sequence& s, int f) {
  constexpr int kJoints = data::kJoints;
  std::span<const float> sure;
  if (s.confidence) sure = std::span(*s.confidence).subspan(std::size_t(f) * kJoints, kJoints);
  stream.push({s.pose_2d.frame(f), 2 * kJoints}, {s.noisy_3d->frame(f), 3 * kJoints}, sure);
}

template <class Stream>
std::vector<Pose> pull_all(Stream& stream) {
  std::vector<Pose> poses;
  while (const auto pose = stream.pull()) poses.push_back(*pose);
  return poses;
}

}  // namespace posetape::test
