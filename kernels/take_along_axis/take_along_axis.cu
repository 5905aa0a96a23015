#include "kernels/take_along_axis/take_along_axis.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

// The host cannot look at indices that lie on the device: one that is out of range gives NaN.
template <class T>
static void compute(const TakeAlongAxis<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.outer * a.count * a.inner, [a] __device__(Index n) {
    const Index k = a.index[n];
    const bool inside = k >= 0 && k < a.extent;
    const Index row = n / a.inner / a.count * a.extent + k;
    a.y.put(n, inside ? load(a.x[row * a.inner + n % a.inner]) : A(NAN));
  });
}
POSETAPE_CUDA_KERNEL(TakeAlongAxis);

}  // namespace posetape
