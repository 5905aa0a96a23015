#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x repeated to `shape` by numpy's rule: along its dimensions of 1 and along new leading ones.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace posetape
