#pragma once

#include "engine/tensor.hpp"
#include "kernels/matmul/matmul.hpp"

namespace posetape {

// The matrix product over the last two dimensions: a [..., m, k], b [..., k, n] with the leading
// dimensions of a, or [k, n] for all of them -> [..., m, n]. With flags.transpose_a, a is stored
// [..., k, m]; with flags.transpose_b, b is [..., n, k]. A transposed a cannot share a 2-D b.
Tensor matmul(const Tensor& a, const Tensor& b, MatmulFlags flags = {});

}  // namespace posetape
