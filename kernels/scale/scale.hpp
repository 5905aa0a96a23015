// y = factor x + offset. dx = factor dy.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct ScaleForward {
  const T* x;
  T* y;
  Index size;
  double factor;
  double offset;
};

template <class T>
struct ScaleBackward {
  const T* dy;
  GradientOut<T> dx;
  Index size;
  double factor;
};

}  // namespace posetape
