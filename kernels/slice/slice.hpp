// y = x from begin to end along an axis. With the axes before it as rows, y is a block of columns:
//     y[r, i] = x[r, offset + i],   dx[r, offset + i] = dy[r, i], 0 elsewhere
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct SliceForward {
  const T* x;  // [rows, x_width]
  T* y;        // [rows, width]
  Index rows;
  Index width;
  Index x_width;
  Index offset;
};

template <class T>
struct SliceBackward {
  const T* dy;
  GradientOut<T> dx;  // outside of the slice: zeros, or left as they are where added to
  Index rows;
  Index width;
  Index x_width;
  Index offset;
};

}  // namespace posetape
