#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// exp(x) / sum of exp(x) over the last dimension, [..., D] -> [..., D]. The maximum is taken off
// first, so that no finite x overflows.
Tensor softmax(const Tensor& x);

}  // namespace posetape
