// C = op(A) op(B) for a batch of matrices, op the transpose or nothing. With D = dC, for no flags:
//     dA = D B^T,  dB = A^T D  (summed over the batch where it shares B)
// and for stored transposes the same, transposed.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

struct MatmulFlags {
  bool transpose_a = false;  // A is stored [k, m]
  bool transpose_b = false;  // B is stored [n, k]
};

struct MatmulSizes {
  Index batch;
  Index m;
  Index n;
  Index k;
  bool shared_b;  // one B for the whole batch; then A is not transposed
};

template <class T>
struct MatmulForward {
  static constexpr bool kProduct = true;  // see kernels/base/dispatch.hpp
  const T* a;                             // [batch, m, k]
  const T* b;                             // [batch, k, n], or [k, n] where shared
  T* c;                                   // [batch, m, n]
  MatmulSizes sizes;
  MatmulFlags flags;
};

template <class T>
struct MatmulBackward {
  static constexpr bool kProduct = true;  // see kernels/base/dispatch.hpp
  const T* a;
  const T* b;
  const T* dc;
  GradientOut<T> da;
  GradientOut<T> db;
  MatmulSizes sizes;
  MatmulFlags flags;
};

// The innermost loop of a product alone, on operands that stay in the first cache: no product is
// faster. Each of `pieces` (threads share them) does it `repeats` times; one element of `sums` a
// piece keeps the result. On the CPU.
template <class T>
struct ProductLimit {
  static constexpr bool kProduct = true;
  Accumulator<T>* sums;  // [pieces]
  double* flops;         // of all pieces, written
  Index pieces;
  Index repeats;
};

}  // namespace posetape
