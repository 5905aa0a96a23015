#include "kernels/where/where.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const WhereForward<T>& a) {
  using A = Accumulator<T>;
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      a.z[i] = store<T>(load(a.condition[i]) > A(0) ? load(a.x[i]) : load(a.y[i]));
    }
  });
}
POSETAPE_CPU_KERNEL(WhereForward);

template <class T>
static void compute(const WhereBackward<T>& a) {
  using A = Accumulator<T>;
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const bool first = load(a.condition[i]) > A(0);
      if (a.dx.wanted()) a.dx.put(i, first ? load(a.dz[i]) : A(0));
      if (a.dy.wanted()) a.dy.put(i, first ? A(0) : load(a.dz[i]));
    }
  });
}
POSETAPE_CPU_KERNEL(WhereBackward);

}  // namespace posetape
