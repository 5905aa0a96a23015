#include "kernels/unfold/unfold.hpp"

#include "kernels/cpu/rows.hpp"

namespace posetape {

// A row of a patch whose first pixel would be `at`, from a row of the image: zeros, pixels, zeros.
template <class T>
static void copy_row(const UnfoldSizes& s, const Patches& p, Index at, const T* x, T* y) {
  const Index step = p.dilation[1];
  const auto taps_before = [&](Index column) {
    return std::clamp<Index>((column - at + step - 1) / step, 0, p.size[1]);
  };
  const Index first = at < 0 ? taps_before(0) : 0;
  const Index last = at < s.image[1] ? taps_before(s.image[1]) : 0;
  const Index runs = step == 1 ? 1 : last - first;  // of taps that are neighbours in the image, too
  const Index length = (step == 1 ? last - first : 1) * s.channels;
  std::fill_n(y, first * s.channels, T(0));
  for (Index r = 0; r < runs; ++r) {
    const T* from = x + (at + (first + r) * step) * s.channels;
    T* to = y + first * s.channels + r * length;
    for (Index i = 0; i < length; ++i) to[i] = from[i];
  }
  std::fill_n(y + last * s.channels, (p.size[1] - last) * s.channels, T(0));
}

template <class T>
static void compute(const UnfoldForward<T>& a) {
  const UnfoldSizes& s = a.sizes;
  const Patches& p = a.patches;
  const Index width = p.size[1] * s.channels;
  const Index patch = p.size[0] * width;
  parallel_for(s.batch * s.count[0] * s.count[1], rows_worth_a_thread(patch),
               [&](Index begin, Index end) {
                 for (Index n = begin; n < end; ++n) {
                   const Index j = n % s.count[1];
                   const Index i = n / s.count[1] % s.count[0];
                   const Index b = n / s.count[1] / s.count[0];
                   for (Index u = 0; u < p.size[0]; ++u) {
                     const Index row = pixel_of(s, p, 0, i, u);
                     T* y = a.y + n * patch + u * width;
                     if (row < 0) {
                       std::fill_n(y, width, T(0));
                     } else {
                       const T* x = a.x + (b * s.image[0] + row) * s.image[1] * s.channels;
                       copy_row(s, p, j * p.stride[1] - p.before[1], x, y);
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
