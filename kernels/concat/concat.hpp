// y = the inputs one after the other along an axis. With the axes before it as rows, each input is
// a block of columns of y:
//     y[r, offset + i] = x[r, i],   dx[r, i] = dy[r, offset + i]
// Called once for each input.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct ConcatForward {
  const T* x;  // [rows, width]
  T* y;        // [rows, y_width]
  Index rows;
  Index width;
  Index y_width;
  Index offset;
};

template <class T>
struct ConcatBackward {
  const T* dy;
  GradientOut<T> dx;
  Index rows;
  Index width;
  Index y_width;
  Index offset;
};

}  // namespace posetape
