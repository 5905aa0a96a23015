// z[i] = x[i] where c[i] > 0, else y[i]. dx is dz where c > 0 and 0 elsewhere, dy the other way
// round; c has no gradient.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct WhereForward {
  const T* condition;
  const T* x;
  const T* y;
  T* z;
  Index size;
};

template <class T>
struct WhereBackward {
  const T* condition;
  const T* dz;
  GradientOut<T> dx;
  GradientOut<T> dy;
  Index size;
};

}  // namespace posetape
