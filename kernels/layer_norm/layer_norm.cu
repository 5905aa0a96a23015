// One warp a row: it reads a row from memory once and again from the cache, for the mean, for the
// variance about it, and for the result.
#include "kernels/layer_norm/layer_norm.hpp"

#include "kernels/cuda/elementwise.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape {

static constexpr int kRowsOfBlock = cuda::kThreads / cuda::kWarp;

template <class T>
static __global__ void __launch_bounds__(cuda::kThreads) layer_norm_forward(LayerNormForward<T> a) {
  using A = Accumulator<T>;
  const Index row = (Index{blockIdx.x} * cuda::kThreads + threadIdx.x) / cuda::kWarp;
  if (row >= a.rows) return;  // whole warps
  const int lane = static_cast<int>(threadIdx.x) % cuda::kWarp;
  const Index at = row * a.width;
  const T* s = a.x + at;
  A sum = 0;
  if (a.s != nullptr) {
    const T* residual = a.residual != nullptr ? a.residual + at : nullptr;
    const T* shift = a.shift != nullptr ? a.shift + row / a.rows_per_shift * a.width : nullptr;
    // Each lane reads again only what it has written itself.
    for (Index i = lane; i < a.width; i += cuda::kWarp) {
      A value = load(s[i]);
      if (residual != nullptr) value += load(residual[i]);
      if (shift != nullptr) value += load(shift[i]);
      const T rounded = store<T>(value);
      a.s[at + i] = rounded;
      sum += load(rounded);
    }
    s = a.s + at;
  } else {
    for (Index i = lane; i < a.width; i += cuda::kWarp) sum += load(s[i]);
  }
  const A mean = cuda::warp_sum(sum) / static_cast<A>(a.width);
  A squares = 0;
  for (Index i = lane; i < a.width; i += cuda::kWarp) {
    const A d = load(s[i]) - mean;
    squares += d * d;
  }
  squares = cuda::warp_sum(squares);
  const A rstd = A(1) / sqrt_(squares / static_cast<A>(a.width) + static_cast<A>(a.eps));
  for (Index i = lane; i < a.width; i += cuda::kWarp) {
    a.y[at + i] = store<T>((load(s[i]) - mean) * rstd * load(a.gamma[i]) + load(a.beta[i]));
  }
  if (lane == 0) {
    a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
}

template <class T>
static void run(const LayerNormForward<T>& a) {
  POSETAPE_RUN(layer_norm_forward<T>, cuda::blocks_for(a.rows, kRowsOfBlock), cuda::kThreads, 0, a);
}
POSETAPE_CUDA_KERNEL(LayerNormForward);

template <class T>
static __global__ void __launch_bounds__(cuda::kThreads)
    layer_norm_backward(LayerNormBackward<T> a) {
  using A = Accumulator<T>;
  const Index row = (Index{blockIdx.x} * cuda::kThreads + threadIdx.x) / cuda::kWarp;
  if (row >= a.rows) return;
  const int lane = static_cast<int>(threadIdx.x) % cuda::kWarp;
  const Index at = row * a.width;
  const A mean = a.mean[row];
  const A rstd = a.rstd[row];
  A sum_g = 0;
  A sum_gn = 0;
  for (Index i = lane; i < a.width; i += cuda::kWarp) {
    const A n = (load(a.s[at + i]) - mean) * rstd;
    const A g = load(a.dy[at + i]) * load(a.gamma[i]);
    sum_g += g;
    sum_gn += g * n;
  }
  const A mean_g = cuda::warp_sum(sum_g) / static_cast<A>(a.width);
  const A mean_gn = cuda::warp_sum(sum_gn) / static_cast<A>(a.width);
  for (Index i = lane; i < a.width; i += cuda::kWarp) {
    const A n = (load(a.s[at + i]) - mean) * rstd;
    A value = rstd * (load(a.dy[at + i]) * load(a.gamma[i]) - mean_g - n * mean_gn);
    if (a.ds_out != nullptr) value += load(a.ds_out[at + i]);
    a.ds.put(at + i, value);
  }
}

// A column's terms of both parameters' gradients, added up together.
template <class A>
struct GammaBeta {
  A gamma, beta;
  GammaBeta() = default;
  __device__ GammaBeta(int zero)
      : gamma(static_cast<A>(zero)), beta(static_cast<A>(zero)) {}  // NOLINT: sums begin with 0
  __device__ GammaBeta(A g, A b) : gamma(g), beta(b) {}
  __device__ GammaBeta& operator+=(const GammaBeta& other) {
    gamma += other.gamma;
    beta += other.beta;
    return *this;
  }
};

template <class T>
static void run(const LayerNormBackward<T>& a) {
  using A = Accumulator<T>;
  if (a.ds.wanted()) {
    POSETAPE_RUN(layer_norm_backward<T>, cuda::blocks_for(a.rows, kRowsOfBlock), cuda::kThreads, 0,
                 a);
  }
  if (!a.dgamma.wanted() && !a.dbeta.wanted()) return;
  cuda::sum_columns<GammaBeta<A>>(
      a.rows, a.width,
      [s = a.s, dy = a.dy, mean = a.mean, rstd = a.rstd, width = a.width] __device__(Index r,
                                                                                     Index i) {
        const A d = load(dy[r * width + i]);
        return GammaBeta<A>(d * (load(s[r * width + i]) - mean[r]) * rstd[r], d);
      },
      [dgamma = a.dgamma, dbeta = a.dbeta] __device__(Index i, GammaBeta<A> sum) {
        if (dgamma.wanted()) dgamma.put(i, sum.gamma);
        if (dbeta.wanted()) dbeta.put(i, sum.beta);
      });
}
POSETAPE_CUDA_KERNEL(LayerNormBackward);

template <class T>
static void run(const LayerNormShiftBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::sum_columns<A>(
      a.rows_per_shift, a.groups * a.width,
      [ds = a.ds, width = a.width, rows = a.rows_per_shift] __device__(Index r, Index i) {
        return load(ds[(i / width * rows + r) * width + i % width]);
      },
      [dshift = a.dshift] __device__(Index i, A sum) { dshift.put(i, sum); });
}
POSETAPE_CUDA_KERNEL(LayerNormShiftBackward);

}  // namespace posetape
