#include "kernels/muon/muon.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const MuonMomentum<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.size, [a] __device__(Index i) {
    const A g = static_cast<A>(1 - a.momentum) * load(a.g[i]);
    const A m = static_cast<A>(a.momentum) * a.m[i] + g;
    a.u[i] = static_cast<A>(a.momentum) * m + g;
    if (*a.loss - *a.loss == 0) a.m[i] = m;  // finite
  });
}
POSETAPE_CUDA_KERNEL(MuonMomentum);

template <class T>
static void compute(const MuonUpdate<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.size, [a] __device__(Index i) {
    if (!(*a.loss - *a.loss == 0)) return;  // not finite
    const A p = static_cast<A>(1 - *a.lr * a.weight_decay) * a.p[i] -
                static_cast<A>(*a.lr * a.scale) * a.direction[i];
    a.p[i] = p;
    if (a.copy != nullptr) a.copy[i] = store<T>(p);
  });
}
POSETAPE_CUDA_KERNEL(MuonUpdate);

}  // namespace posetape
