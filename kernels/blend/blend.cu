#include "kernels/blend/blend.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape {

template <class T>
static void compute(const BlendForward<T>& a) {
  cuda::for_each(a.batch * a.size, [a] __device__(Index i) {
    const Index b = i / a.size;
    a.out[i] = store<T>(load(a.p[b]) * load(a.x[i]) + load(a.q[b]) * load(a.y[i]));
  });
}
POSETAPE_CUDA_KERNEL(BlendForward);

// into[i] = factor[b] d[i]
template <class T>
static void scaled(const BlendBackward<T>& a, const T* factor, GradientOut<T> into) {
  cuda::for_each(a.batch * a.size, [d = a.dout, size = a.size, factor, into] __device__(Index i) {
    into.put(i, load(factor[i / size]) * load(d[i]));
  });
}

// into[b] = sum of x[b, i] d[b, i]
template <class T>
static void products(const BlendBackward<T>& a, const T* x, GradientOut<T> into) {
  using A = Accumulator<T>;
  cuda::sum_rows<A>(
      a.batch, a.size,
      [d = a.dout, size = a.size, x] __device__(Index b, Index i) {
        return load(x[b * size + i]) * load(d[b * size + i]);
      },
      [into] __device__(Index b, A sum) { into.put(b, sum); });
}

template <class T>
static void compute(const BlendBackward<T>& a) {
  if (a.dx.wanted()) scaled(a, a.p, a.dx);
  if (a.dy.wanted()) scaled(a, a.q, a.dy);
  if (a.dp.wanted()) products(a, a.x, a.dp);
  if (a.dq.wanted()) products(a, a.y, a.dq);
}
POSETAPE_CUDA_KERNEL(BlendBackward);

}  // namespace posetape
