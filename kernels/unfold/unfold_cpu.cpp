#include "kernels/unfold/unfold.hpp"

#include "kernels/cpu/rows.hpp"

namespace posetape {

template <class T>
static void compute(const UnfoldForward<T>& a) {
  const UnfoldSizes& s = a.sizes;
  const Patches& p = a.patches;
  const Index width = p.size[1] * s.channels;
  const Index patch = p.size[0] * width;
  parallel_for(
      s.batch * s.count[0] * s.count[1], rows_worth_a_thread(patch), [&](Index begin, Index end) {
        for (Index n = begin; n < end; ++n) {
          const Index j = n % s.count[1];
          const Index i = n / s.count[1] % s.count[0];
          const Index b = n / s.count[1] / s.count[0];
          for (Index u = 0; u < p.size[0]; ++u) {
            const Index row = pixel_of(s, p, 0, i, u);
            T* y = a.y + n * patch + u * width;
            for (Index v = 0; v < p.size[1]; ++v, y += s.channels) {
              const Index column = pixel_of(s, p, 1, j, v);
              if (row < 0 || column < 0) {
                std::fill_n(y, s.channels, T(0));
                continue;
              }
              const T* x = a.x + ((b * s.image[0] + row) * s.image[1] + column) * s.channels;
              for (Index c = 0; c < s.channels; ++c) y[c] = x[c];
            }
          }
        }
      });
}
POSETAPE_CPU_KERNEL(UnfoldForward);

template <class T>
static void compute(const UnfoldBackward<T>& a) {
  using A = Accumulator<T>;
  const UnfoldSizes& s = a.sizes;
  const Patches& p = a.patches;
  const Index width = p.size[1] * s.channels;
  parallel_for(s.batch * s.image[0] * s.image[1], rows_worth_a_thread(p.size[0] * width),
               [&](Index begin, Index end) {
                 Scratch<A> sums(s.channels);
                 for (Index n = begin; n < end; ++n) {
                   const Index column = n % s.image[1];
                   const Index row = n / s.image[1] % s.image[0];
                   const Index b = n / s.image[1] / s.image[0];
                   for (Index c = 0; c < s.channels; ++c) sums[c] = A(0);
                   for (Index u = 0; u < p.size[0]; ++u) {
                     const Index i = patch_of(s, p, 0, row, u);
                     for (Index v = 0; v < p.size[1] && i >= 0; ++v) {
                       const Index j = patch_of(s, p, 1, column, v);
                       if (j < 0) continue;
                       const T* dy = a.dy +
                                     ((b * s.count[0] + i) * s.count[1] + j) * p.size[0] * width +
                                     u * width + v * s.channels;
                       for (Index c = 0; c < s.channels; ++c) sums[c] += load(dy[c]);
                     }
                   }
                   for (Index c = 0; c < s.channels; ++c) a.dx.put(n * s.channels + c, sums[c]);
                 }
               });
}
POSETAPE_CPU_KERNEL(UnfoldBackward);

}  // namespace posetape
