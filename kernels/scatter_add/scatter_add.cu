#include "kernels/scatter_add/scatter_add.hpp"

#include "kernels/cuda/reduce.hpp"

namespace posetape {

// Each sum goes through all indices of its column, in chunks: extent x count reads that neighbours
// share, for some hundred places. The host cannot look at indices that lie on the device: one that
// is out of range makes all sums of its column NaN.
template <class T>
static void compute(const ScatterAdd<T>& a) {
  using A = Accumulator<T>;
  using S = LongSum<A>;
  cuda::sum_columns<S>(
      a.count, a.outer * a.extent * a.inner,
      [a] __device__(Index k, Index n) {
        const Index row = n / a.inner / a.extent * a.count + k;
        const Index at = row * a.inner + n % a.inner;
        const Index v = a.index[at];
        if (v < 0 || v >= a.extent) return S(NAN);
        return v == n / a.inner % a.extent ? static_cast<S>(load(a.x[at])) : S(0);
      },
      [y = a.y] __device__(Index n, S sum) { y.put(n, static_cast<A>(sum)); });
}
POSETAPE_CUDA_KERNEL(ScatterAdd);

}  // namespace posetape
