#include "kernels/broadcast_to/broadcast_to.hpp"

#include "kernels/cpu/broadcast.hpp"

namespace posetape {

template <class T>
static void compute(const BroadcastToForward<T>& g) {
  expand(g.broadcast, [&](Index from, Index to) { g.y[to] = g.x[from]; });
}
POSETAPE_CPU_KERNEL(BroadcastToForward);

template <class T>
static void compute(const BroadcastToBackward<T>& g) {
  collapse<T>(g.broadcast, g.dy, [&](Index i, auto sum) { g.dx.put(i, sum); });
}
POSETAPE_CPU_KERNEL(BroadcastToBackward);

}  // namespace posetape
