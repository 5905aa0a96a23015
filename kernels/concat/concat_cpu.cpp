#include "kernels/concat/concat.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const ConcatForward<T>& a) {
  Index offset = a.offset;
  for (Index k = 0; k < a.kMost; ++k) {
    const Index width = a.widths[k];
    parallel_rows(a.rows, width, [&](Index r, Index begin, Index end) {
      const T* x = a.x[k] + r * width;
      T* y = a.y + r * a.y_width + offset;
      for (Index i = begin; i < end; ++i) y[i] = x[i];
    });
    offset += width;
  }
}
POSETAPE_CPU_KERNEL(ConcatForward);

template <class T>
static void compute(const ConcatBackward<T>& a) {
  parallel_rows(a.rows, a.width, [&](Index r, Index begin, Index end) {
    const T* dy = a.dy + r * a.y_width + a.offset;
    for (Index i = begin; i < end; ++i) a.dx.put(r * a.width + i, load(dy[i]));
  });
}
POSETAPE_CPU_KERNEL(ConcatBackward);

}  // namespace posetape
