// One warp a row. Exponentials are computed again where they are written: cheaper than a place to
// keep them.
#include "kernels/softmax/softmax.hpp"

#include "kernels/cuda/reduce.hpp"

namespace posetape {

template <class T>
static __global__ void __launch_bounds__(cuda::kThreads) softmax_forward(SoftmaxForward<T> a) {
  using A = Accumulator<T>;
  const Index row = (Index{blockIdx.x} * cuda::kThreads + threadIdx.x) / cuda::kWarp;
  if (row >= a.rows) return;  // whole warps
  const int lane = static_cast<int>(threadIdx.x) % cuda::kWarp;
  const T* x = a.x + row * a.width;
  T* y = a.y + row * a.width;
  A most = -HUGE_VAL;
  for (Index i = lane; i < a.width; i += cuda::kWarp) {
    const A value = load(x[i]);
    most = value > most ? value : most;
  }
  most = cuda::warp_max(most);
  A sum = 0;
  for (Index i = lane; i < a.width; i += cuda::kWarp) sum += exp_(load(x[i]) - most);
  const A scale = A(1) / cuda::warp_sum(sum);
  for (Index i = lane; i < a.width; i += cuda::kWarp) {
    y[i] = store<T>(exp_(load(x[i]) - most) * scale);
  }
}

template <class T>
static __global__ void __launch_bounds__(cuda::kThreads) softmax_backward(SoftmaxBackward<T> a) {
  using A = Accumulator<T>;
  const Index row = (Index{blockIdx.x} * cuda::kThreads + threadIdx.x) / cuda::kWarp;
  if (row >= a.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % cuda::kWarp;
  const T* y = a.y + row * a.width;
  const T* dy = a.dy + row * a.width;
  A dot = 0;
  for (Index i = lane; i < a.width; i += cuda::kWarp) dot += load(y[i]) * load(dy[i]);
  dot = cuda::warp_sum(dot);
  for (Index i = lane; i < a.width; i += cuda::kWarp) {
    a.dx.put(row * a.width + i, load(y[i]) * (load(dy[i]) - dot));
  }
}

template <class T>
static void run(const SoftmaxForward<T>& a) {
  POSETAPE_RUN(softmax_forward<T>, cuda::blocks_for(a.rows, cuda::kThreads / cuda::kWarp),
               cuda::kThreads, 0, a);
}
POSETAPE_CUDA_KERNEL(SoftmaxForward);

template <class T>
static void run(const SoftmaxBackward<T>& a) {
  POSETAPE_RUN(softmax_backward<T>, cuda::blocks_for(a.rows, cuda::kThreads / cuda::kWarp),
               cuda::kThreads, 0, a);
}
POSETAPE_CUDA_KERNEL(SoftmaxBackward);

}  // namespace posetape
