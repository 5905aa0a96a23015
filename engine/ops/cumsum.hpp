#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The sums of x's elements up to each one along an axis, itself included; from the last one back:
// sub(add(sum(x, {{axis}, true}), x), cumsum(x, axis)).
Tensor cumsum(const Tensor& x, int axis = -1);

}  // namespace posetape
