// Matrix products as cuBLASLt defines them (for the emulation's own files).
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape::emulation {

// Column-major, `ld` elements from column to column and `step` from one of the batch to the next.
template <class T>
struct ColumnMajor {
  T* data;
  Index ld;
  Index step;
};

// D = alpha op(A) op(B) + beta C + bias, the bias along D's columns; D is m x n, and the inner
// dimension k. C is not read where beta is 0.
template <class T>
struct ProductArgs {
  Index m, n, k, batch;
  ColumnMajor<const T> a, b, c;
  ColumnMajor<T> d;
  bool transpose_a, transpose_b;
  const T* bias;  // [m], or null
  T* b_sums;      // [n], where the sums of op(B)'s columns are put, or null
  Accumulator<T> alpha, beta;
};

// In f64 for f64, and in f32 otherwise.
template <class T>
void multiply(const ProductArgs<T>& product);

}  // namespace posetape::emulation
