#include "kernels/scale/scale.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

// Factor and offset are passed as f64: arguments have no padding.
template <class T>
static void compute(const ScaleForward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.size,
                 [x = a.x, y = a.y, factor = a.factor, offset = a.offset] __device__(Index i) {
                   y[i] = store<T>(static_cast<A>(factor) * load(x[i]) + static_cast<A>(offset));
                 });
}
POSETAPE_CUDA_KERNEL(ScaleForward);

template <class T>
static void compute(const ScaleBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.size, [dy = a.dy, dx = a.dx, factor = a.factor] __device__(Index i) {
    dx.put(i, static_cast<A>(factor) * load(dy[i]));
  });
}
POSETAPE_CUDA_KERNEL(ScaleBackward);

}  // namespace posetape
