// y = the inputs one after the other along an axis. With the axes before it as rows, each input is
// a block of columns of y:
//     y[r, offset + i] = x[r, i],   dx[r, i] = dy[r, offset + i]
// Forward takes kMost inputs at a time, backward one.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct ConcatForward {
  static constexpr Index kMost = 4;
  const T* x[kMost];    // [rows, widths]
  Index widths[kMost];  // 0 where there is no input
  T* y;                 // [rows, y_width]
  Index rows;
  Index y_width;
  Index offset;  // of the first one
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
