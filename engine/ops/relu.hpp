#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// max(x, 0), elementwise. The gradient at 0 is 0.
Tensor relu(const Tensor& x);

}  // namespace posetape
