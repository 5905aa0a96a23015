// The mean squared error: loss = 1 / n sum over i of (x_i - y_i)^2. With d = d(loss):
//     dx_i = 2 d / n (x_i - y_i),  dy_i = -dx_i
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct MseLossForward {
  const T* x;
  const T* y;
  Accumulator<T>* loss;  // one element; NaN, the mean of nothing, for a size of 0
  Index size;
};

template <class T>
struct MseLossBackward {
  const T* x;
  const T* y;
  const Accumulator<T>* dloss;
  GradientOut<T> dx;
  GradientOut<T> dy;
  Index size;
};

}  // namespace posetape
