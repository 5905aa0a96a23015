#pragma once

#include "engine/tensor.hpp"
#include "kernels/matmul/matmul.hpp"

namespace posetape {

// The matrix product over the last two dimensions, of which the leading ones broadcast as NumPy's:
// a [..., m, k], b [..., k, n] -> [..., m, n]. With flags.transpose_a, a is stored [..., k, m];
// with flags.transpose_b, b is [..., n, k]. Equal leading dimensions, and a matrix b for all of
// a's, are one op; what else is repeated is copied by broadcast_to() first.
Tensor matmul(const Tensor& a, const Tensor& b, MatmulFlags flags = {});

}  // namespace posetape
