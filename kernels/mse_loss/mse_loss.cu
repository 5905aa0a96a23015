#include "kernels/mse_loss/mse_loss.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape {

template <class T>
static void compute(const MseLossForward<T>& a) {
  using A = Accumulator<T>;
  cuda::sum_rows<A>(
      1, a.size,
      [x = a.x, y = a.y] __device__(Index, Index i) {
        const A d = load(x[i]) - load(y[i]);
        return d * d;
      },
      [loss = a.loss, size = a.size] __device__(Index, A sum) {
        *loss = sum / static_cast<A>(size);
      });
}
POSETAPE_CUDA_KERNEL(MseLossForward);

template <class T>
static void compute(const MseLossBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.size, [a] __device__(Index i) {
    const A g = A(2) * *a.dloss / static_cast<A>(a.size) * (load(a.x[i]) - load(a.y[i]));
    if (a.dx.wanted()) a.dx.put(i, g);
    if (a.dy.wanted()) a.dy.put(i, -g);
  });
}
POSETAPE_CUDA_KERNEL(MseLossBackward);

}  // namespace posetape
