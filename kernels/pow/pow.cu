#include "kernels/pow/pow.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const PowForward<T>& a) {
  cuda::for_each(a.size,
                 [a] __device__(Index i) { a.y[i] = store<T>(pow_(load(a.x[i]), a.exponent)); });
}
POSETAPE_CUDA_KERNEL(PowForward);

template <class T>
static void compute(const PowBackward<T>& a) {
  cuda::for_each(a.size,
                 [a] __device__(Index i) { a.dx.put(i, load(a.dy[i]) * a.slope(load(a.x[i]))); });
}
POSETAPE_CUDA_KERNEL(PowBackward);

}  // namespace posetape
