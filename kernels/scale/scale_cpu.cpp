#include "kernels/scale/scale.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const ScaleForward<T>& a) {
  using A = Accumulator<T>;
  const A factor = static_cast<A>(a.factor);
  const A offset = static_cast<A>(a.offset);
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) a.y[i] = store<T>(factor * load(a.x[i]) + offset);
  });
}
POSETAPE_CPU_KERNEL(ScaleForward);

template <class T>
static void compute(const ScaleBackward<T>& a) {
  const auto factor = static_cast<Accumulator<T>>(a.factor);
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) a.dx.put(i, factor * load(a.dy[i]));
  });
}
POSETAPE_CPU_KERNEL(ScaleBackward);

}  // namespace posetape
