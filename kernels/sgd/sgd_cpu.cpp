#include "kernels/sgd/sgd.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const SgdUpdate<T>& a) {
  using A = Accumulator<T>;
  if (!(*a.loss - *a.loss == 0)) return;  // not finite
  const auto momentum = static_cast<A>(a.momentum);
  const auto decay = static_cast<A>(a.weight_decay);
  const auto rate = static_cast<A>(*a.lr);
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const A u = momentum * a.velocity[i] + (load(a.g[i]) + decay * a.p[i]);
      a.velocity[i] = u;
      const A p = a.p[i] - rate * u;
      a.p[i] = p;
      if (a.copy != nullptr) a.copy[i] = store<T>(p);
    }
  });
}
POSETAPE_CPU_KERNEL(SgdUpdate);

}  // namespace posetape
