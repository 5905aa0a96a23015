// y = x - max x - log(sum of exp(x - max x)) over the last dimension. Row by row:
//     dx = dy - exp(y) sum of dy
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct LogSoftmaxForward {
  const T* x;  // [rows, width]
  T* y;
  Index rows;
  Index width;
};

template <class T>
struct LogSoftmaxBackward {
  const T* y;
  const T* dy;
  GradientOut<T> dx;
  Index rows;
  Index width;
};

}  // namespace posetape
