#include "kernels/slice/slice.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const SliceForward<T>& a) {
  cuda::for_each(a.rows * a.width, [a] __device__(Index i) {
    a.y[i] = a.x[i / a.width * a.x_width + a.offset + i % a.width];
  });
}
POSETAPE_CUDA_KERNEL(SliceForward);

template <class T>
static void compute(const SliceBackward<T>& a) {
  if (a.dx.into == Into::add) {
    cuda::for_each(a.rows * a.width, [a] __device__(Index i) {
      a.dx.put(i / a.width * a.x_width + a.offset + i % a.width, load(a.dy[i]));
    });
    return;
  }
  cuda::for_each(a.rows * a.x_width, [a] __device__(Index i) {
    const Index column = i % a.x_width - a.offset;
    const bool inside = column >= 0 && column < a.width;
    a.dx.data[i] = inside ? a.dy[i / a.x_width * a.width + column] : T(0);
  });
}
POSETAPE_CUDA_KERNEL(SliceBackward);

}  // namespace posetape
