// Streams in tests: a network that changes nothing, and frames of a sequence through them.
#pragma once

#include <limits>
#include <optional>
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

// One that changes nothing, too, and says how sure it is of coordinate i of a frame, which is x
// and at place k of its window.
inline double log_std_of(float x, int i, int k) {
  return -4 + 0.02 * i + 0.25 * double{x} + k / 16.0;
}
inline diffusion::Inference knowing() {
  return {{data::Field::noisy}, Device::cpu, [](std::span<const Tensor> in) {
            const Tensor log_std = in[0].clone();
            const std::span<float> values = log_std.values<float>();
            const auto frames = static_cast<std::size_t>(in[0].shape()[1]);
            for (std::size_t n = 0; n < values.size(); ++n) {
              values[n] = static_cast<float>(log_std_of(values[n], static_cast<int>(n % 51),
                                                        static_cast<int>(n / 51 % frames)));
            }
            return diffusion::with_log_std(in[0].clone(), log_std);
          }};
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

// How sure the stream is of each of its results.
template <class Stream>
std::vector<std::optional<Pose>> pull_stds(Stream& stream) {
  std::vector<std::optional<Pose>> stds;
  while (stream.pull()) stds.push_back(stream.std());
  return stds;
}

}  // namespace posetape::test
