#include "kernels/linear/linear.hpp"

#include "kernels/cuda/gemm.hpp"
#include "kernels/cuda/map.hpp"
#include "kernels/cuda/reduce.hpp"
#include "kernels/elementwise/unary.hpp"
#include "kernels/linear/mma_norm_linear.hpp"

namespace posetape {

template <class T>
static void add_bias(const LinearForward<T>& a, T* z) {
  cuda::for_each(a.rows * a.out, [z, b = a.b, out = a.out] __device__(Index i) {
    z[i] = store<T>(load(z[i]) + load(b[i % out]));
  });
}

template <class F, class T>
static void activate(const LinearForward<T>& a, const T* z) {
  cuda::map(a.rows * a.out, z, a.y, [] __device__(T x) { return store<T>(F::value(load(x))); });
}

template <class F, class T>
static void add_bias_and_activate(const LinearForward<T>& a, T* z) {
  cuda::for_each(a.rows * a.out, [z, y = a.y, b = a.b, out = a.out] __device__(Index i) {
    const T sum = store<T>(load(z[i]) + load(b[i % out]));
    z[i] = sum;
    y[i] = store<T>(F::value(load(sum)));
  });
}

template <class T>
static void compute(const LinearForward<T>& a) {
  if (mma_linear::forward(a)) return;
  T* z = a.z != nullptr ? a.z : a.y;
  const bool has_bias = cuda::gemm<T>(
      {a.rows, a.out, a.in, {a.x, a.in}, {a.w, a.in, true}, {z, Into::write}, 1, a.b});
  const bool needs_bias = a.b != nullptr && !has_bias;
  switch (a.activation) {
    case Activation::gelu:
      return needs_bias ? add_bias_and_activate<unary::gelu>(a, z) : activate<unary::gelu>(a, z);
    case Activation::silu:
      return needs_bias ? add_bias_and_activate<unary::silu>(a, z) : activate<unary::silu>(a, z);
    case Activation::none:
      if (needs_bias) add_bias(a, z);
  }
}
POSETAPE_CUDA_KERNEL(LinearForward);

template <class F, class T>
struct TimesSlope {
  __device__ T operator()(T dy, T z) const {
    return store<T>(load(dy) * F::slope(load(z), load(z)));
  }
};

// to[i] = dy[i] f'(z[i]); `to` may be dy.
template <class T>
static void times_slope(Activation f, Index size, const T* dy, const T* z, T* to) {
  f == Activation::gelu ? cuda::map(size, dy, z, to, TimesSlope<unary::gelu, T>{})
                        : cuda::map(size, dy, z, to, TimesSlope<unary::silu, T>{});
}

template <class T>
static void compute(const LinearBackward<T>& a) {
  const T* dz = a.activation == Activation::none ? a.dy : a.dz;
  if (a.activation != Activation::none) {
    times_slope(a.activation, a.rows * a.out, a.dy, a.z, a.dz);
  }
  if (mma_linear::backward(a, dz)) return;
  if (a.dx.wanted()) {
    cuda::gemm<T>({a.rows, a.in, a.out, {dz, a.out}, {a.w, a.in}, a.dx});
    if (a.before != Activation::none) {
      times_slope(a.before, a.rows * a.in, a.dx.data, a.z_before, a.dx.data);
    }
  }
  bool has_db = !a.db.wanted();
  if (a.dw.wanted()) {
    cuda::Gemm<T> dw{a.out, a.in, a.rows, {dz, a.out, true}, {a.x, a.in}, a.dw};
    if (a.db.into == Into::write) dw.a_sums = a.db.data;
    has_db |= cuda::gemm(dw);
  }
  if (has_db) return;
  cuda::sum_columns<Accumulator<T>>(
      a.rows, a.out,
      [dz, out = a.out] __device__(Index r, Index i) { return load(dz[r * out + i]); },
      [db = a.db] __device__(Index i, Accumulator<T> sum) { db.put(i, sum); });
}
POSETAPE_CUDA_KERNEL(LinearBackward);

template <class T>
static void compute(const LinearsForward<T>& a) {
  if (mma_linear::forward(a)) return;
  in_turn(a, [](const auto& one) { cuda_entry(one); });
}
POSETAPE_CUDA_KERNEL(LinearsForward);

template <class T>
static void compute(const LinearsBackward<T>& a) {
  if (mma_linear::backward(a)) return;
  in_turn(a, [](const auto& one) { cuda_entry(one); });
}
POSETAPE_CUDA_KERNEL(LinearsBackward);

template <class T>
static void compute(const NormLinearForward<T>& a) {
  if (mma_linear::forward(a)) return;
  in_turn(a, [](const auto& one) { cuda_entry(one); });
}
POSETAPE_CUDA_KERNEL(NormLinearForward);

template <class T>
static void compute(const NormLinearBackward<T>& a) {
  if (mma_linear::backward(a)) return;
  in_turn(a, [](const auto& one) { cuda_entry(one); });
}
POSETAPE_CUDA_KERNEL(NormLinearBackward);

}  // namespace posetape
