// The patches of images that a convolution looks at, so that it is a product of matrices
// (Chellapilla, Puri and Simard, "High performance convolutional neural networks for document
// processing", 2006):
//     y[b, i, j, p, q, c] = x[b, i s_0 + p d_0 - before_0, j s_1 + q d_1 - before_1, c], 0 outside
// The gradient of a pixel is the sum over the patches that it is in, in the order of p and q.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

// Where patches lie, for rows and columns.
struct Patches {
  Index size[2];      // of a patch
  Index stride[2];    // from one patch to the next
  Index dilation[2];  // from one pixel of a patch to the next
  Index before[2];    // zeros before the image
};

struct UnfoldSizes {
  Index batch;
  Index image[2];  // rows and columns
  Index count[2];  // of patches
  Index channels;
};

template <class T>
struct UnfoldForward {
  const T* x;  // [batch, image, channels]
  T* y;        // [batch, count, size, channels]
  UnfoldSizes sizes;
  Patches patches;
};

template <class T>
struct UnfoldBackward {
  const T* dy;
  GradientOut<T> dx;
  UnfoldSizes sizes;
  Patches patches;
};

// Along one axis: the pixel that number `tap` of a patch looks at, -1 outside of the image; and the
// patch whose number `tap` is this pixel, -1 where there is none.
POSETAPE_FUNCTION static inline Index pixel_of(const UnfoldSizes& s, const Patches& p, int axis,
                                               Index patch, Index tap) {
  const Index at = patch * p.stride[axis] + tap * p.dilation[axis] - p.before[axis];
  return at >= 0 && at < s.image[axis] ? at : -1;
}
POSETAPE_FUNCTION static inline Index patch_of(const UnfoldSizes& s, const Patches& p, int axis,
                                               Index pixel, Index tap) {
  const Index from = pixel + p.before[axis] - tap * p.dilation[axis];
  const Index patch = from / p.stride[axis];
  return from >= 0 && from % p.stride[axis] == 0 && patch < s.count[axis] ? patch : -1;
}

}  // namespace posetape
