#include "kernels/concat/concat.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const ConcatForward<T>& a) {
  cuda::for_each(a.rows * a.width, [a] __device__(Index i) {
    a.y[i / a.width * a.y_width + a.offset + i % a.width] = a.x[i];
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
