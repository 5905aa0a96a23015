#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// e^x, elementwise.
Tensor exp(const Tensor& x);

}  // namespace posetape
