#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x converted to another floating type, rounded to nearest even. The gradient is converted back to
// x's type. To the type it has, x shares its memory.
Tensor cast(const Tensor& x, DType dtype);

}  // namespace posetape
