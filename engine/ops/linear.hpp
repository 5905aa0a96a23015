#pragma once

#include "engine/tensor.hpp"
#include "kernels/linear/linear.hpp"

namespace posetape {

// f(x W^T + b): x [..., in], weight [out, in], bias [out] or left out -> [..., out].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              Activation activation = Activation::none);

}  // namespace posetape
