#include "kernels/matmul/matmul.hpp"

#include "kernels/cuda/gemm.hpp"
#include "kernels/cuda/kernel.hpp"

namespace posetape {

// A batch of matrices that are rows x columns in the product; their memory is the transpose of that
// if `stored`.
template <class T>
static cuda::Matrix<T> matrix(const T* data, Index rows, Index columns, bool stored) {
  return {data, stored ? rows : columns, stored, rows * columns};
}

// A shared B makes the batch one tall product.
static MatmulSizes merged(MatmulSizes s) {
  return s.shared_b ? MatmulSizes{1, s.batch * s.m, s.n, s.k, true} : s;
}

template <class T>
static void compute(const MatmulForward<T>& g) {
  const MatmulSizes s = merged(g.sizes);
  cuda::gemm<T>({s.m,
                 s.n,
                 s.k,
                 matrix(g.a, s.m, s.k, g.flags.transpose_a),
                 matrix(g.b, s.k, s.n, g.flags.transpose_b),
                 {g.c, Into::write},
                 s.batch});
}
POSETAPE_CUDA_KERNEL(MatmulForward);

template <class T>
static void compute(const MatmulBackward<T>& g) {
  const MatmulSizes s = merged(g.sizes);
  const bool ta = g.flags.transpose_a;
  const bool tb = g.flags.transpose_b;
  const cuda::Matrix<T> d = matrix(g.dc, s.m, s.n, false);
  const cuda::Matrix<T> d_t = matrix(g.dc, s.n, s.m, true);
  if (g.da.wanted()) {
    const cuda::Matrix<T> b = matrix(g.b, s.k, s.n, tb);
    const cuda::Matrix<T> b_t = matrix(g.b, s.n, s.k, !tb);
    if (ta) {
      cuda::gemm<T>({s.k, s.m, s.n, b, d_t, g.da, s.batch});
    } else {
      cuda::gemm<T>({s.m, s.k, s.n, d, b_t, g.da, s.batch});
    }
  }
  if (g.db.wanted()) {
    const cuda::Matrix<T> a = matrix(g.a, s.m, s.k, ta);
    const cuda::Matrix<T> a_t = matrix(g.a, s.k, s.m, !ta);
    if (tb) {
      cuda::gemm<T>({s.n, s.k, s.m, d_t, a, g.db, s.batch});
    } else {
      cuda::gemm<T>({s.k, s.n, s.m, a_t, d, g.db, s.batch});
    }
  }
}
POSETAPE_CUDA_KERNEL(MatmulBackward);

}  // namespace posetape
