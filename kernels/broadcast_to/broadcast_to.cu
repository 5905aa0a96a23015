#include "kernels/broadcast_to/broadcast_to.hpp"

#include "kernels/cuda/broadcast.hpp"

namespace posetape {

template <class T>
static void compute(const BroadcastToForward<T>& g) {
  cuda::each_place(g.broadcast,
                   [x = g.x, y = g.y] __device__(cuda::Place p) { y[p.out] = x[p.a]; });
}
POSETAPE_CUDA_KERNEL(BroadcastToForward);

template <class T>
static void compute(const BroadcastToBackward<T>& g) {
  using A = Accumulator<T>;
  cuda::reduce_repeated<A>(
      g.broadcast, [dy = g.dy] __device__(cuda::Place p) { return load(dy[p.out]); },
      [dx = g.dx] __device__(Index i, A sum) { dx.put(i, sum); });
}
POSETAPE_CUDA_KERNEL(BroadcastToBackward);

}  // namespace posetape
