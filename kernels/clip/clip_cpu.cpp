#include "kernels/clip/clip.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const ClipByNorm<T>& a) {
  const Accumulator<T> factor = a.factor();
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) a.g[i] = store<T>(load(a.g[i]) * factor);
  });
}
POSETAPE_CPU_KERNEL(ClipByNorm);

}  // namespace posetape
