#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The hyperbolic tangent, elementwise.
Tensor tanh(const Tensor& x);

}  // namespace posetape
