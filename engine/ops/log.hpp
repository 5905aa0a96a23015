#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The natural logarithm, elementwise: -infinity at 0, NaN below.
Tensor log(const Tensor& x);

}  // namespace posetape
