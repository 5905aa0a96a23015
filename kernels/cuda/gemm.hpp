// General matrix products by cuBLASLt: f64, f32 without TF32, and bf16 with sums in f32.
// Descriptions and algorithms are kept for each shape, so the library searches once. Results are
// the same from run to run on one kind of GPU: parts of a sum are added in a fixed order.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape::cuda {

// Row-major with `stride` elements from row to row; `transpose` says that the product uses its
// transpose. `step` elements lie between the matrices of a batch; 0 shares one.
template <class T>
struct Matrix {
  const T* data = nullptr;
  Index stride = 0;
  bool transpose = false;
  Index step = 0;
};

// C = A B, or += A B, for each of a batch. A is m x k and B is k x n after their transposition; C
// is dense, and so is the batch of it.
template <class T>
struct Gemm {
  Index m, n, k;
  Matrix<T> a, b;
  GradientOut<T> c;
  Index batch = 1;
  // One of these, or none:
  const T* bias = nullptr;  // [n], added to every row
  T* a_sums = nullptr;      // [m], where the sums of A's rows are put; for a batch of one
};

// A k of zero gives C = 0 (or leaves C). Returns whether the bias was added, or the sums put, on
// the way: cuBLASLt cannot in f64, nor for k = 0, nor everywhere else. Where not, the caller does.
template <class T>
bool gemm(const Gemm<T>& g);

// A layer of bf16 with up to so many multiply-adds has products of our own on tensor cores
// (kernels/linear/mma_linear.hpp): above, what the library's are faster by on Hopper is more than a
// launch and reading a matrix once more, by published rates (790 TFLOP/s beside some 60 % of
// it, 1.3 us a launch, 4.3 TB/s); nothing has been measured. POSETAPE_CUDA_PRODUCTS, which is `own`
// or `library`, says otherwise: all of them, or none.
Index most_own_work();

// Called by destroy_handles().
void forget_gemms();

}  // namespace posetape::cuda
