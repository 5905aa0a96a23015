#include "kernels/joint_distance_loss/joint_distance_loss.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape {

template <class T>
__device__ inline Accumulator<T> distance(const T* x, const T* y, Index width) {
  Accumulator<T> squares = 0;
  for (Index i = 0; i < width; ++i) {
    const auto d = load(x[i]) - load(y[i]);
    squares += d * d;
  }
  return sqrt_(squares);
}

template <class T>
static void compute(const JointDistanceLossForward<T>& a) {
  using A = Accumulator<T>;
  cuda::sum_rows<A>(
      1, a.rows,
      [x = a.x, y = a.y, width = a.width] __device__(Index, Index r) {
        return distance(x + r * width, y + r * width, width);
      },
      [loss = a.loss, rows = a.rows] __device__(Index, A sum) {
        *loss = sum / static_cast<A>(rows);
      });
}
POSETAPE_CUDA_KERNEL(JointDistanceLossForward);

template <class T>
static void compute(const JointDistanceLossBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.rows, [a] __device__(Index r) {
    const T* x = a.x + r * a.width;
    const T* y = a.y + r * a.width;
    const A length = distance(x, y, a.width);
    const A slope = *a.dloss / static_cast<A>(a.rows);
    const A factor = length == A(0) ? A(0) : slope / length;  // a NaN stays a NaN
    for (Index i = 0; i < a.width; ++i) {
      const A g = factor * (load(x[i]) - load(y[i]));
      if (a.dx.wanted()) a.dx.put(r * a.width + i, g);
      if (a.dy.wanted()) a.dy.put(r * a.width + i, -g);
    }
  });
}
POSETAPE_CUDA_KERNEL(JointDistanceLossBackward);

}  // namespace posetape
