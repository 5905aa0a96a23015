// A dataset as the conditional noise distribution sees it.
#pragma once

#include "data/dataset.hpp"
#include "diffusion/conditional_noise.hpp"

namespace posetape::tools {

inline constexpr Index kErrorWidth = 3 * data::kJoints;
inline constexpr Index kConditionWidth = 5 * data::kJoints;

// A sequence's frames as rows: its errors noisy_3d - pose_3d, and [y; x_noisy].
diffusion::NoiseSequence noise_rows(const data::Dataset& dataset, int index);

}  // namespace posetape::tools
