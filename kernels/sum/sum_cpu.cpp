#include "kernels/sum/sum.hpp"

#include "kernels/cpu/broadcast.hpp"

namespace posetape {

template <class T>
static void compute(const SumForward<T>& g) {
  collapse<T>(g.broadcast, g.x, [&](Index i, auto sum) { g.y[i] = store<T>(sum); });
}
POSETAPE_CPU_KERNEL(SumForward);

template <class T>
static void compute(const SumBackward<T>& g) {
  expand(g.broadcast, [&](Index from, Index to) { g.dx.put(to, load(g.dy[from])); });
}
POSETAPE_CPU_KERNEL(SumBackward);

}  // namespace posetape
