// y = sum of x over a set of axes.
//     dx = dy repeated over those axes
#pragma once

#include "kernels/broadcast.hpp"

namespace posetape {

template <class T>
struct SumForward {
  const T* x;
  T* y;
  Broadcast broadcast;  // a is y, repeated over the axes of the sum; b, which is x, is not
};

template <class T>
struct SumBackward {
  const T* dy;
  GradientOut<T> dx;
  Broadcast broadcast;
};

}  // namespace posetape
