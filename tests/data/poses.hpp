// Small datasets for tests.
#pragma once

#include <string>
#include <utility>

#include "data/dataset.hpp"
#include "engine/rng.hpp"

namespace posetape::test {

// F frames of random poses in [F][17][channels]: the root at `root` in each coordinate, the other
// joints about 0.5 from it, as a person's in metres.
inline data::PoseArray random_poses(int frames, int channels, float root, std::uint64_t seed) {
  Random random(seed, Stream::test);
  data::PoseArray poses{channels, {}};
  for (int f = 0; f < frames; ++f) {
    for (int i = 0; i < data::kJoints * channels; ++i) {
      const auto offset = i < channels ? 0.0f : static_cast<float>(0.3 * random.normal());
      poses.values.push_back(root + offset);
    }
  }
  return poses;
}

// A sequence with truth and base estimate.
inline data::Sequence random_sequence(std::string name, int frames, std::uint64_t seed) {
  data::Sequence sequence;
  sequence.name = std::move(name);
  sequence.pose_2d = random_poses(frames, 2, 400, seed);
  sequence.pose_3d = random_poses(frames, 3, 4, seed + 1000);
  sequence.noisy_3d = random_poses(frames, 3, 0, seed + 2000);
  sequence.image_size = {1000, 1002};
  return sequence;
}

}  // namespace posetape::test
