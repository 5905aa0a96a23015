#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x^exponent, elementwise, with a constant exponent. As C's pow(): NaN for x < 0 but for whole
// exponents, 1 for an exponent of 0. Where the slope has no bound (x = 0 below an exponent of 1)
// the gradient is infinite.
Tensor pow(const Tensor& x, double exponent);

}  // namespace posetape
