#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x under another shape of equal size. Shares x's memory.
Tensor reshape(const Tensor& x, const Shape& shape);

}  // namespace posetape
