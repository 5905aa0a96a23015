#include "kernels/cumsum/cumsum.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const Cumsum<T>& a) {
  using A = Accumulator<T>;
  parallel_rows(a.outer, a.inner, [&](Index o, Index begin, Index end) {
    Scratch<LongSum<A>> sums(end - begin);
    for (Index i = 0; i < end - begin; ++i) sums[i] = LongSum<A>(0);
    for (Index k = 0; k < a.count; ++k) {
      const Index row = (o * a.count + (a.reversed ? a.count - 1 - k : k)) * a.inner + begin;
      for (Index i = 0; i < end - begin; ++i) {
        sums[i] += static_cast<LongSum<A>>(load(a.x[row + i]));
        a.y.put(row + i, static_cast<A>(sums[i]));
      }
    }
  });
}
POSETAPE_CPU_KERNEL(Cumsum);

}  // namespace posetape
