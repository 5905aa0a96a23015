#include "kernels/slice/slice.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const SliceForward<T>& a) {
  parallel_rows(a.rows, a.width, [&](Index r, Index begin, Index end) {
    const T* x = a.x + r * a.x_width + a.offset;
    T* y = a.y + r * a.width;
    for (Index i = begin; i < end; ++i) y[i] = x[i];
  });
}
POSETAPE_CPU_KERNEL(SliceForward);

template <class T>
static void compute(const SliceBackward<T>& a) {
  if (a.dx.into == Into::write) {
    parallel_rows(a.rows, a.x_width, [&](Index r, Index begin, Index end) {
      const Index before = std::min(end, a.offset);
      const Index after = std::max(begin, a.offset + a.width);
      T* dx = a.dx.data + r * a.x_width;
      for (Index i = begin; i < before; ++i) dx[i] = T(0);
      for (Index i = after; i < end; ++i) dx[i] = T(0);
    });
  }
  parallel_rows(a.rows, a.width, [&](Index r, Index begin, Index end) {
    const T* dy = a.dy + r * a.width;
    const Index at = r * a.x_width + a.offset;
    for (Index i = begin; i < end; ++i) a.dx.put(at + i, load(dy[i]));
  });
}
POSETAPE_CPU_KERNEL(SliceBackward);

}  // namespace posetape
