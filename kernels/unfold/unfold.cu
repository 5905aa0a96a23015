#include "kernels/unfold/unfold.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class T>
static void compute(const UnfoldForward<T>& a) {
  const Index patch = a.patches.size[0] * a.patches.size[1] * a.sizes.channels;
  const Index size = a.sizes.batch * a.sizes.count[0] * a.sizes.count[1] * patch;
  cuda::for_each(size, [a] __device__(Index n) {
    const UnfoldSizes& s = a.sizes;
    const Patches& p = a.patches;
    Index rest = n / s.channels;
    const Index v = rest % p.size[1];
    rest /= p.size[1];
    const Index u = rest % p.size[0];
    rest /= p.size[0];
    const Index column = pixel_of(s, p, 1, rest % s.count[1], v);
    rest /= s.count[1];
    const Index row = pixel_of(s, p, 0, rest % s.count[0], u);
    const Index b = rest / s.count[0];
    const Index from = ((b * s.image[0] + row) * s.image[1] + column) * s.channels + n % s.channels;
    a.y[n] = row < 0 || column < 0 ? T(0) : a.x[from];
  });
}
POSETAPE_CUDA_KERNEL(UnfoldForward);

template <class T>
static void compute(const UnfoldBackward<T>& a) {
  using A = Accumulator<T>;
  const Index size = a.sizes.batch * a.sizes.image[0] * a.sizes.image[1] * a.sizes.channels;
  cuda::for_each(size, [a] __device__(Index n) {
    const UnfoldSizes& s = a.sizes;
    const Patches& p = a.patches;
    Index rest = n / s.channels;
    const Index column = rest % s.image[1];
    rest /= s.image[1];
    const Index row = rest % s.image[0];
    const Index b = rest / s.image[0];
    A sum = 0;
    for (Index u = 0; u < p.size[0]; ++u) {
      const Index i = patch_of(s, p, 0, row, u);
      for (Index v = 0; v < p.size[1] && i >= 0; ++v) {
        const Index j = patch_of(s, p, 1, column, v);
        if (j < 0) continue;
        const Index patch = (b * s.count[0] + i) * s.count[1] + j;
        sum += load(a.dy[((patch * p.size[0] + u) * p.size[1] + v) * s.channels + n % s.channels]);
      }
    }
    a.dx.put(n, sum);
  });
}
POSETAPE_CUDA_KERNEL(UnfoldBackward);

}  // namespace posetape
