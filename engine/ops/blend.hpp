#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// out[b, ...] = p[b] x[b, ...] + q[b] y[b, ...]: p, q [B]; x, y [B, ...] -> [B, ...].
Tensor blend(const Tensor& p, const Tensor& x, const Tensor& q, const Tensor& y);

}  // namespace posetape
