#include "kernels/adam/adam.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const AdamUpdate<T>& a) {
  using A = Accumulator<T>;
  if (!(a.rates[3] - a.rates[3] == 0)) return;  // not finite
  const auto beta1 = static_cast<A>(a.beta1);
  const auto beta2 = static_cast<A>(a.beta2);
  const auto rest1 = static_cast<A>(1 - a.beta1);
  const auto rest2 = static_cast<A>(1 - a.beta2);
  const auto rate = static_cast<A>(a.rates[0] / a.rates[1]);
  const auto scale2 = static_cast<A>(1 / a.rates[2]);
  const auto eps = static_cast<A>(a.eps);
  const auto kept = static_cast<A>(1 - a.rates[0] * a.weight_decay);  // exactly 1 without decay
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const A g = load(a.g[i]);
      const A m = beta1 * a.m[i] + rest1 * g;
      const A v = beta2 * a.v[i] + rest2 * g * g;
      a.m[i] = m;
      a.v[i] = v;
      const A p = kept * a.p[i] - rate * m / (sqrt_(v * scale2) + eps);
      a.p[i] = p;
      if (a.copy != nullptr) a.copy[i] = store<T>(p);
    }
  });
}
POSETAPE_CPU_KERNEL(AdamUpdate);

}  // namespace posetape
