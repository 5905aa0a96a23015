#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// factor x + offset, elementwise; factor and offset are constants.
Tensor scale(const Tensor& x, double factor, double offset = 0);

}  // namespace posetape
