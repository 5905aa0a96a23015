#include "kernels/pow/pow.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const PowForward<T>& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) a.y[i] = store<T>(pow_(load(a.x[i]), a.exponent));
  });
}
POSETAPE_CPU_KERNEL(PowForward);

template <class T>
static void compute(const PowBackward<T>& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) a.dx.put(i, load(a.dy[i]) * a.slope(load(a.x[i])));
  });
}
POSETAPE_CPU_KERNEL(PowBackward);

}  // namespace posetape
