#include "kernels/adam/adam.hpp"

#include "kernels/cuda/kernel.hpp"

namespace posetape {

template <class T>
static __global__ void __launch_bounds__(cuda::kThreads) adam_update(AdamUpdate<T> a) {
  using A = Accumulator<T>;
  if (!(a.rates[3] - a.rates[3] == 0)) return;  // not finite
  // In f64, once a block.
  POSETAPE_SHARED(A, shared, 3);
  if (threadIdx.x == 0) {
    shared[0] = static_cast<A>(a.rates[0] / a.rates[1]);
    shared[1] = static_cast<A>(1 / a.rates[2]);
    shared[2] = static_cast<A>(1 - a.rates[0] * a.weight_decay);  // exactly 1 without decay
  }
  __syncthreads();
  const Index i = Index{blockIdx.x} * cuda::kThreads + threadIdx.x;
  if (i >= a.size) return;
  const A g = load(a.g[i]);
  const A m = static_cast<A>(a.beta1) * a.m[i] + static_cast<A>(1 - a.beta1) * g;
  const A v = static_cast<A>(a.beta2) * a.v[i] + static_cast<A>(1 - a.beta2) * g * g;
  a.m[i] = m;
  a.v[i] = v;
  const A p = shared[2] * a.p[i] - shared[0] * m / (sqrt_(v * shared[1]) + static_cast<A>(a.eps));
  a.p[i] = p;
  if (a.copy != nullptr) a.copy[i] = store<T>(p);
}

template <class T>
static void compute(const AdamUpdate<T>& a) {
  POSETAPE_RUN(adam_update<T>, cuda::blocks_for(a.size, cuda::kThreads), cuda::kThreads, 0, a);
}
POSETAPE_CUDA_KERNEL(AdamUpdate);

}  // namespace posetape
