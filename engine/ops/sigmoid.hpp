#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// 1 / (1 + e^-x), elementwise.
Tensor sigmoid(const Tensor& x);

}  // namespace posetape
