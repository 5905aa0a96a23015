#include "data/skeleton.hpp"

#include <algorithm>

#include "engine/error.hpp"

namespace posetape::data {
namespace {

// x becomes offset - x, then left and right joints change places.
void reflect(std::span<float> poses, int channels, float offset) {
  if (channels != 2 && channels != 3) fail("mirror: poses have 2 or 3 channels, not {}", channels);
  const std::size_t frame = std::size_t{kJoints} * channels;
  if (poses.size() % frame != 0) {
    fail("mirror: {} values are not whole poses of {} x {}", poses.size(), kJoints, channels);
  }
  for (std::size_t i = 0; i < poses.size(); i += channels) poses[i] = offset - poses[i];
  for (std::size_t start = 0; start < poses.size(); start += frame) {
    float* pose = poses.data() + start;
    for (int j : kLeftJoints) {
      std::swap_ranges(pose + j * channels, pose + (j + 1) * channels,
                       pose + kMirror[j] * channels);
    }
  }
}

}  // namespace

void mirror(std::span<float> poses, int channels) {
  reflect(poses, channels, 0.0f);
}

void mirror_pixels(std::span<float> poses, int width) {
  reflect(poses, 2, static_cast<float>(width));
}

}  // namespace posetape::data
