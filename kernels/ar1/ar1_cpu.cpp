#include "kernels/ar1/ar1.hpp"

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class T>
static void compute(const Ar1<T>& a) {
  using A = Accumulator<T>;
  const auto keep = static_cast<A>(a.keep);
  const auto fresh = static_cast<A>(a.fresh);
  parallel_for(a.windows, 1, [&](Index begin, Index end) {
    for (Index w = begin; w < end; ++w) {
      T* x = a.x + w * a.frames * a.width;
      for (Index i = a.width; i < a.frames * a.width; ++i) {
        x[i] = store<T>(keep * load(x[i - a.width]) + fresh * load(x[i]));
      }
    }
  });
}
POSETAPE_CPU_KERNEL(Ar1);

}  // namespace posetape
