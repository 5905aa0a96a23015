#include "kernels/sum/sum.hpp"

#include "kernels/cuda/broadcast.hpp"

namespace posetape {

template <class T>
static void compute(const SumForward<T>& g) {
  using A = Accumulator<T>;
  cuda::reduce_repeated<A>(
      g.broadcast, [x = g.x] __device__(cuda::Place p) { return load(x[p.out]); },
      [y = g.y] __device__(Index i, A sum) { y[i] = store<T>(sum); });
}
POSETAPE_CUDA_KERNEL(SumForward);

template <class T>
static void compute(const SumBackward<T>& g) {
  cuda::each_place(g.broadcast, [dy = g.dy, dx = g.dx] __device__(cuda::Place p) {
    dx.put(p.out, load(dy[p.a]));
  });
}
POSETAPE_CUDA_KERNEL(SumBackward);

}  // namespace posetape
