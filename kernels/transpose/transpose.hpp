// y = x with its axes in another order. dx = dy with the axes put back. Both are one permutation of
// memory: element (i0, i1, ...) of the row-major result is src[i0 steps[0] + i1 steps[1] + ...].
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

inline constexpr int kMaxPermuted = 6;

// Neighbouring axes that stay neighbours are merged and those of extent 1 left out. There is always
// one axis.
struct Permuted {
  int rank = 0;
  Index extents[kMaxPermuted] = {};  // of the result
  Index steps[kMaxPermuted] = {};    // in the source, in elements
};

template <class T>
struct TransposeForward {
  const T* x;
  T* y;
  Permuted permuted;  // from x to y
};

template <class T>
struct TransposeBackward {
  const T* dy;
  GradientOut<T> dx;
  Permuted permuted;  // from dy to dx
};

}  // namespace posetape
