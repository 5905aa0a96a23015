// y = x repeated along axes of extent 1 and along new leading ones.
//     dx = sum of dy over the axes along which x is repeated
#pragma once

#include "kernels/broadcast.hpp"

namespace posetape {

template <class T>
struct BroadcastToForward {
  const T* x;
  T* y;
  Broadcast broadcast;  // a is x, b is not repeated
};

template <class T>
struct BroadcastToBackward {
  const T* dy;
  GradientOut<T> dx;
  Broadcast broadcast;
};

}  // namespace posetape
