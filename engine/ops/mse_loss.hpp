#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The mean of (prediction - target)^2 over all elements: two equal shapes -> []. Of f32 for bf16
// inputs, else of their type.
Tensor mse_loss(const Tensor& prediction, const Tensor& target);

}  // namespace posetape
