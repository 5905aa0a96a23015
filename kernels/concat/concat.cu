#include "kernels/concat/concat.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const ConcatForward<T>& a) {
  Index width = 0;
  for (const Index one : a.widths) width += one;
  cuda::for_each(a.rows * width, [a, width] __device__(Index i) {
    const Index row = i / width;
    Index column = i % width;
    T* y = a.y + row * a.y_width + a.offset + column;
#pragma unroll
    for (Index k = 0; k < a.kMost; ++k) {
      if (column >= 0 && column < a.widths[k]) *y = a.x[k][row * a.widths[k] + column];
      column -= a.widths[k];
    }
  });
}
POSETAPE_CUDA_KERNEL(ConcatForward);

template <class T>
static void compute(const ConcatBackward<T>& a) {
  cuda::for_each(a.rows * a.width, [a] __device__(Index i) {
    a.dx.put(i, load(a.dy[i / a.width * a.y_width + a.offset + i % a.width]));
  });
}
POSETAPE_CUDA_KERNEL(ConcatBackward);

}  // namespace posetape
