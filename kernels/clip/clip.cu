#include "kernels/clip/clip.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const ClipByNorm<T>& a) {
  cuda::for_each(a.size, [a] __device__(Index i) { a.g[i] = store<T>(load(a.g[i]) * a.factor()); });
}
POSETAPE_CUDA_KERNEL(ClipByNorm);

}  // namespace posetape
