#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x Phi(x), Phi the normal distribution, elementwise and exact.
Tensor gelu(const Tensor& x);

}  // namespace posetape
