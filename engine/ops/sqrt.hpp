#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The square root, elementwise. The slope at 0 is infinite.
Tensor sqrt(const Tensor& x);

}  // namespace posetape
