#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The mean over all leading positions of the Euclidean distance over the last dimension:
// prediction, target [..., 3] -> []. Of f32 for bf16 poses, else of their type. The slope where the
// distance is 0 is 0.
Tensor joint_distance_loss(const Tensor& prediction, const Tensor& target);

}  // namespace posetape
