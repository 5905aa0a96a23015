#include "kernels/max/max.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const MaxForward<T>& a) {
  parallel_rows(a.outer, a.inner, [&](Index o, Index begin, Index end) {
    const T* x = a.x + o * a.count * a.inner;
    for (Index i = begin; i < end; ++i) {
      auto best = load(x[i]);
      Index place = 0;
      for (Index k = 1; k < a.count; ++k) {
        const auto value = load(x[k * a.inner + i]);
        if (is_above(value, best)) {
          best = value;
          place = k;
        }
      }
      a.y[o * a.inner + i] = store<T>(best);
      a.place[o * a.inner + i] = static_cast<std::int32_t>(place);
    }
  });
}
POSETAPE_CPU_KERNEL(MaxForward);

template <class T>
static void compute(const MaxBackward<T>& a) {
  using A = Accumulator<T>;
  parallel_rows(a.outer * a.count, a.inner, [&](Index row, Index begin, Index end) {
    const Index o = row / a.count;
    const Index k = row % a.count;
    for (Index i = begin; i < end; ++i) {
      const Index from = o * a.inner + i;
      a.dx.put(row * a.inner + i, a.place[from] == k ? load(a.dy[from]) : A(0));
    }
  });
}
POSETAPE_CPU_KERNEL(MaxBackward);

}  // namespace posetape
