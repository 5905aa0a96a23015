#include "kernels/ar1/ar1.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

// A thread walks along the frames of one channel; neighbours have neighbouring channels.
template <class T>
static void compute(const Ar1<T>& a) {
  using A = Accumulator<T>;
  cuda::for_each(a.windows * a.width, [a] __device__(Index i) {
    T* x = a.x + i / a.width * a.frames * a.width + i % a.width;
    for (Index f = 1; f < a.frames; ++f) {
      x[f * a.width] = store<T>(static_cast<A>(a.keep) * load(x[(f - 1) * a.width]) +
                                static_cast<A>(a.fresh) * load(x[f * a.width]));
    }
  });
}
POSETAPE_CUDA_KERNEL(Ar1);

}  // namespace posetape
