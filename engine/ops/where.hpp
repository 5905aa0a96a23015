#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x where condition > 0, y elsewhere (a NaN is not above 0); shapes broadcast as in numpy, of one
// type. What is not chosen has no part in values or gradients, be it NaN. The condition takes no
// gradient.
Tensor where(const Tensor& condition, const Tensor& x, const Tensor& y);

// 1 where a > b, else 0: a comparison as a condition, or as numbers to count with. No gradient.
Tensor greater(const Tensor& a, const Tensor& b);

}  // namespace posetape
