#include "kernels/cumsum/cumsum.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

// A block for a row whose elements are neighbours: kThreads of them at a time, each of which adds
// what lies 1, 2, 4, ... before it (Hillis and Steele, "Data parallel algorithms", 1986), and what
// came before all of them.
template <class T>
static __global__ void __launch_bounds__(cuda::kThreads) cumsum_of_row(Cumsum<T> a) {
  using A = Accumulator<T>;
  using S = LongSum<A>;
  POSETAPE_SHARED(S, sums, cuda::kThreads);
  const int t = static_cast<int>(threadIdx.x);
  const Index row = Index{blockIdx.x} * a.count;
  S before = 0;
  for (Index first = 0; first < a.count; first += cuda::kThreads) {
    const Index k = first + t;
    const Index at = row + (a.reversed ? a.count - 1 - k : k);
    sums[t] = k < a.count ? static_cast<S>(load(a.x[at])) : S(0);
    for (int step = 1; step < cuda::kThreads; step *= 2) {
      __syncthreads();
      const S other = t >= step ? sums[t - step] : S(0);
      __syncthreads();
      sums[t] += other;
    }
    if (k < a.count) a.y.put(at, static_cast<A>(before + sums[t]));
    __syncthreads();
    before += sums[cuda::kThreads - 1];
    __syncthreads();  // before `sums` is written again
  }
}

template <class T>
static void compute(const Cumsum<T>& a) {
  using A = Accumulator<T>;
  if (a.inner == 1) {
    POSETAPE_RUN((cumsum_of_row<T>), static_cast<unsigned>(a.outer), cuda::kThreads, 0, a);
    return;
  }
  cuda::for_each(a.outer * a.inner, [a] __device__(Index n) {
    const Index column = n / a.inner * a.count * a.inner + n % a.inner;
    LongSum<A> sum = 0;
    for (Index k = 0; k < a.count; ++k) {
      const Index at = column + (a.reversed ? a.count - 1 - k : k) * a.inner;
      sum += load(a.x[at]);
      a.y.put(at, static_cast<A>(sum));
    }
  });
}
POSETAPE_CUDA_KERNEL(Cumsum);

}  // namespace posetape
