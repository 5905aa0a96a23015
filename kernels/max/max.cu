#include "kernels/max/max.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

// A block for a row whose elements are neighbours: each thread takes every kThreads-th, and then
// they go together in pairs, where of equal ones the first counts.
template <class T>
static __global__ void __launch_bounds__(cuda::kThreads) max_of_row(MaxForward<T> a) {
  using A = Accumulator<T>;
  POSETAPE_SHARED(A, best, cuda::kThreads);
  POSETAPE_SHARED(std::int32_t, place, cuda::kThreads);
  const int t = static_cast<int>(threadIdx.x);
  const T* x = a.x + Index{blockIdx.x} * a.count;
  if (t < a.count) {
    best[t] = load(x[t]);
    place[t] = t;
    for (Index k = t + cuda::kThreads; k < a.count; k += cuda::kThreads) {
      const A value = load(x[k]);
      if (!is_above(value, best[t])) continue;
      best[t] = value;
      place[t] = static_cast<std::int32_t>(k);
    }
  }
  for (int step = cuda::kThreads / 2; step > 0; step /= 2) {
    __syncthreads();
    const int other = t + step;
    if (t >= step || other >= a.count) continue;
    const bool above = is_above(best[other], best[t]);
    const bool equal = !above && !is_above(best[t], best[other]);
    if (above || (equal && place[other] < place[t])) {
      best[t] = best[other];
      place[t] = place[other];
    }
  }
  if (t != 0) return;
  a.y[blockIdx.x] = store<T>(best[0]);
  a.place[blockIdx.x] = place[0];
}

template <class T>
static void compute(const MaxForward<T>& a) {
  using A = Accumulator<T>;
  if (a.inner == 1) {
    POSETAPE_RUN((max_of_row<T>), static_cast<unsigned>(a.outer), cuda::kThreads, 0, a);
    return;
  }
  cuda::for_each(a.outer * a.inner, [a] __device__(Index i) {
    const T* x = a.x + i / a.inner * a.count * a.inner + i % a.inner;
    A best = load(*x);
    Index place = 0;
    for (Index k = 1; k < a.count; ++k) {
      const A value = load(x[k * a.inner]);
      if (!is_above(value, best)) continue;
      best = value;
      place = k;
    }
    a.y[i] = store<T>(best);
    a.place[i] = static_cast<std::int32_t>(place);
  });
}
POSETAPE_CUDA_KERNEL(MaxForward);

template <class T>
static void compute(const MaxBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.outer * a.count * a.inner, [a] __device__(Index i) {
    const Index row = i / a.inner;
    const Index from = row / a.count * a.inner + i % a.inner;
    a.dx.put(i, a.place[from] == row % a.count ? load(a.dy[from]) : A(0));
  });
}
POSETAPE_CUDA_KERNEL(MaxBackward);

}  // namespace posetape
