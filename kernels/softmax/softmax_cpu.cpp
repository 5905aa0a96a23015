#include "kernels/softmax/softmax.hpp"

#include "kernels/cpu/rows.hpp"

namespace posetape {

template <class T>
static void compute(const SoftmaxForward<T>& a) {
  using A = Accumulator<T>;
  parallel_for(a.rows, rows_worth_a_thread(a.width), [&](Index begin, Index end) {
    // Unrounded exponentials, which bf16's y has no room for.
    Scratch<A> e(a.width);
    for (Index r = begin; r < end; ++r) {
      const T* x = a.x + r * a.width;
      T* y = a.y + r * a.width;
      A most = -HUGE_VAL;
#pragma omp simd reduction(max : most)
      for (Index i = 0; i < a.width; ++i) most = std::max<A>(most, load(x[i]));
      for (Index i = 0; i < a.width; ++i) e[i] = exp_(load(x[i]) - most);
      const A scale = A(1) / static_cast<A>(sum_of<A>(a.width, [&](Index i) { return e[i]; }));
      for (Index i = 0; i < a.width; ++i) y[i] = store<T>(e[i] * scale);
    }
  });
}
POSETAPE_CPU_KERNEL(SoftmaxForward);

template <class T>
static void compute(const SoftmaxBackward<T>& a) {
  using A = Accumulator<T>;
  parallel_for(a.rows, rows_worth_a_thread(a.width), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* y = a.y + r * a.width;
      const T* dy = a.dy + r * a.width;
      const A dot =
          static_cast<A>(sum_of<A>(a.width, [&](Index i) { return load(y[i]) * load(dy[i]); }));
      for (Index i = 0; i < a.width; ++i) {
        a.dx.put(r * a.width + i, load(y[i]) * (load(dy[i]) - dot));
      }
    }
  });
}
POSETAPE_CPU_KERNEL(SoftmaxBackward);

}  // namespace posetape
