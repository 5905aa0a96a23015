#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x / (1 + e^-x), elementwise.
Tensor silu(const Tensor& x);

}  // namespace posetape
