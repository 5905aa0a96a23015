#include "kernels/scatter_add/scatter_add.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

// All sums of some neighbouring columns are one thread's, so that none is added to by two, and they
// fit into its cache.
template <class T>
static void compute(const ScatterAdd<T>& a) {
  using A = Accumulator<T>;
  constexpr Index kSums = 1 << 15;
  const Index most = std::max<Index>(1, kSums / std::max<Index>(1, a.extent));
  const Index stretches = (a.inner + most - 1) / most;
  const Index work = std::max<Index>(1, (a.count + a.extent) * std::min(most, a.inner));
  parallel_for(a.outer * stretches, std::max<Index>(1, 16384 / work), [&](Index first, Index last) {
    for (Index n = first; n < last; ++n) {
      const Index o = n / stretches;
      const Index begin = n % stretches * most;
      const Index width = std::min(most, a.inner - begin);
      Scratch<LongSum<A>> sums(a.extent * width);
      for (Index i = 0; i < a.extent * width; ++i) sums[i] = LongSum<A>(0);
      for (Index k = 0; k < a.count; ++k) {
        const Index row = (o * a.count + k) * a.inner + begin;
        for (Index i = 0; i < width; ++i) {
          sums[a.index[row + i] * width + i] += static_cast<LongSum<A>>(load(a.x[row + i]));
        }
      }
      for (Index v = 0; v < a.extent; ++v) {
        const Index row = (o * a.extent + v) * a.inner + begin;
        for (Index i = 0; i < width; ++i) a.y.put(row + i, static_cast<A>(sums[v * width + i]));
      }
    }
  });
}
POSETAPE_CPU_KERNEL(ScatterAdd);

}  // namespace posetape
