#include "kernels/take_along_axis/take_along_axis.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const TakeAlongAxis<T>& a) {
  parallel_rows(a.outer * a.count, a.inner, [&](Index row, Index begin, Index end) {
    const T* x = a.x + row / a.count * a.extent * a.inner;
    for (Index i = begin; i < end; ++i) {
      const Index at = row * a.inner + i;
      a.y.put(at, load(x[a.index[at] * a.inner + i]));
    }
  });
}
POSETAPE_CPU_KERNEL(TakeAlongAxis);

}  // namespace posetape
