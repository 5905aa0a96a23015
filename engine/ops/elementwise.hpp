// Elementwise functions. Their mathematics is in kernels/elementwise/unary.hpp and binary.hpp; the
// definitions here are made from the list of ops.
#pragma once

#include "engine/tensor.hpp"

namespace posetape {

Tensor relu(const Tensor& x);     // max(x, 0); the gradient at 0 is 0
Tensor abs(const Tensor& x);      // |x|; the gradient at 0 is 0
Tensor exp(const Tensor& x);      // e^x
Tensor log(const Tensor& x);      // the natural logarithm: -infinity at 0, NaN below
Tensor sqrt(const Tensor& x);     // the slope at 0 is infinite
Tensor tanh(const Tensor& x);     // the hyperbolic tangent
Tensor sigmoid(const Tensor& x);  // 1 / (1 + e^-x)
Tensor silu(const Tensor& x);     // x / (1 + e^-x)
Tensor gelu(const Tensor& x);     // x Phi(x), Phi the normal distribution: exact

// Of two tensors; shapes broadcast as in numpy.
Tensor add(const Tensor& a, const Tensor& b);  // a + b
Tensor sub(const Tensor& a, const Tensor& b);  // a - b
Tensor mul(const Tensor& a, const Tensor& b);  // a b
Tensor div(const Tensor& a, const Tensor& b);  // a / b
// The larger and the smaller of two; a NaN is both. The gradient of equal ones is a's.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);

// x, or `low` below it and `high` above, low <= high, made of the two: the gradient is dy from low
// to high, and 0 outside.
Tensor clamp(const Tensor& x, double low, double high);

}  // namespace posetape
