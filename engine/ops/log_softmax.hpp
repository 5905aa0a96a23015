#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// log(softmax(x)) over the last dimension, [..., D] -> [..., D], right where softmax(x) is so near
// 0 that its logarithm would be -infinity.
Tensor log_softmax(const Tensor& x);

}  // namespace posetape
