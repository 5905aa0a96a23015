#include "kernels/blend/blend.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const BlendForward<T>& a) {
  parallel_rows(a.batch, a.size, [&](Index b, Index begin, Index end) {
    const auto p = load(a.p[b]);
    const auto q = load(a.q[b]);
    for (Index i = b * a.size + begin; i < b * a.size + end; ++i) {
      a.out[i] = store<T>(p * load(a.x[i]) + q * load(a.y[i]));
    }
  });
}
POSETAPE_CPU_KERNEL(BlendForward);

// into[i] = factor[b] d[i]
template <class T>
static void scaled(const BlendBackward<T>& a, const T* factor, GradientOut<T> into) {
  parallel_rows(a.batch, a.size, [&](Index b, Index begin, Index end) {
    const auto f = load(factor[b]);
    for (Index i = b * a.size + begin; i < b * a.size + end; ++i) into.put(i, f * load(a.dout[i]));
  });
}

// into[b] = sum of x[b, i] d[b, i]
template <class T>
static void products(const BlendBackward<T>& a, const T* x, GradientOut<T> into) {
  using A = Accumulator<T>;
  constexpr Index kStretch = 1024;  // summed on its own, so that long sums keep their digits
  parallel_for(a.batch, 1, [&](Index first, Index last) {
    for (Index b = first; b < last; ++b) {
      A total = 0;
      for (Index begin = b * a.size; begin < (b + 1) * a.size; begin += kStretch) {
        const Index end = std::min(begin + kStretch, (b + 1) * a.size);
        A sum = 0;
#pragma omp simd reduction(+ : sum)
        for (Index i = begin; i < end; ++i) sum += load(x[i]) * load(a.dout[i]);
        total += sum;
      }
      into.put(b, total);
    }
  });
}

template <class T>
static void compute(const BlendBackward<T>& a) {
  if (a.dx.wanted()) scaled(a, a.p, a.dx);
  if (a.dy.wanted()) scaled(a, a.q, a.dy);
  if (a.dp.wanted()) products(a, a.x, a.dp);
  if (a.dq.wanted()) products(a, a.y, a.dq);
}
POSETAPE_CPU_KERNEL(BlendBackward);

}  // namespace posetape
