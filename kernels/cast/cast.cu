#include "kernels/cast/cast.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T, class S>
static void compute(const CastBackward<T, S>& a) {
  cuda::for_each(a.size, [dy = a.dy, dx = a.dx] __device__(Index i) {
    dx.put(i, static_cast<Accumulator<T>>(load(dy[i])));
  });
}
#define POSETAPE_CAST(T)                                        \
  POSETAPE_CUDA_ENTRY("CastBackward", CastBackward<T, double>); \
  POSETAPE_CUDA_ENTRY("CastBackward", CastBackward<T, float>);  \
  POSETAPE_CUDA_ENTRY("CastBackward", CastBackward<T, bf16>)
POSETAPE_CAST(double);
POSETAPE_CAST(float);
POSETAPE_CAST(bf16);

}  // namespace posetape
