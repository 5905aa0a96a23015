#include "kernels/sgd/sgd.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const SgdUpdate<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.size, [a] __device__(Index i) {
    if (!(*a.loss - *a.loss == 0)) return;  // not finite
    const A u = static_cast<A>(a.momentum) * a.velocity[i] +
                (load(a.g[i]) + static_cast<A>(a.weight_decay) * a.p[i]);
    a.velocity[i] = u;
    const A p = a.p[i] - static_cast<A>(*a.lr) * u;
    a.p[i] = p;
    if (a.copy != nullptr) a.copy[i] = store<T>(p);
  });
}
POSETAPE_CUDA_KERNEL(SgdUpdate);

}  // namespace posetape
