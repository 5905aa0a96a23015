// y = exp(x - max x) / sum of exp(x - max x) over the last dimension. Row by row:
//     dx = y (dy - sum of y dy)
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct SoftmaxForward {
  const T* x;  // [rows, width]
  T* y;
  Index rows;
  Index width;
};

template <class T>
struct SoftmaxBackward {
  const T* y;
  const T* dy;
  GradientOut<T> dx;
  Index rows;
  Index width;
};

}  // namespace posetape
