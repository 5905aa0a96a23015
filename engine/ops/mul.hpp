#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// a b, elementwise; shapes broadcast as in numpy.
Tensor mul(const Tensor& a, const Tensor& b);

}  // namespace posetape
