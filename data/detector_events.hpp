// What the simulated detectors have in common.
#pragma once

#include <utility>
#include <vector>

#include "data/dataset.hpp"
#include "engine/rng.hpp"

namespace posetape::data {

// Events of a sequence, [first, last) of each, one after the other: so many a second, each at least
// one frame and exponentially long on top.
std::vector<std::pair<int, int>> random_events(int frames, double fps, double per_second,
                                               double seconds, Random& random);

// A person's size in each frame of poses [F][17][2]: the summed length of the 16 projected bones.
std::vector<double> person_sizes(const PoseArray& poses);

}  // namespace posetape::data
