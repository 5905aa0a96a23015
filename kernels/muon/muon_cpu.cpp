#include "kernels/muon/muon.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const MuonMomentum<T>& a) {
  using A = Accumulator<T>;
  const bool moves = *a.loss - *a.loss == 0;  // finite
  const auto momentum = static_cast<A>(a.momentum);
  const auto rest = static_cast<A>(1 - a.momentum);
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const A g = load(a.g[i]);
      const A m = momentum * a.m[i] + rest * g;
      a.u[i] = momentum * m + rest * g;
      if (moves) a.m[i] = m;
    }
  });
}
POSETAPE_CPU_KERNEL(MuonMomentum);

template <class T>
static void compute(const MuonUpdate<T>& a) {
  using A = Accumulator<T>;
  if (!(*a.loss - *a.loss == 0)) return;  // not finite
  const auto rate = static_cast<A>(*a.lr * a.scale);
  const auto kept = static_cast<A>(1 - *a.lr * a.weight_decay);  // exactly 1 without decay
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const A p = kept * a.p[i] - rate * a.direction[i];
      a.p[i] = p;
      if (a.copy != nullptr) a.copy[i] = store<T>(p);
    }
  });
}
POSETAPE_CPU_KERNEL(MuonUpdate);

}  // namespace posetape
