#include "kernels/where/where.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const WhereForward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(
      a.size, [a] __device__(Index i) { a.z[i] = load(a.condition[i]) > A(0) ? a.x[i] : a.y[i]; });
}
POSETAPE_CUDA_KERNEL(WhereForward);

template <class T>
static void compute(const WhereBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.size, [a] __device__(Index i) {
    const bool first = load(a.condition[i]) > A(0);
    if (a.dx.wanted()) a.dx.put(i, first ? load(a.dz[i]) : A(0));
    if (a.dy.wanted()) a.dy.put(i, first ? A(0) : load(a.dz[i]));
  });
}
POSETAPE_CUDA_KERNEL(WhereBackward);

}  // namespace posetape
