// The mean distance of joints: loss = 1 / n sum over i of |x_i - y_i|, x_i and y_i the n rows of
// prediction and target (their last dimension, 3 for poses). With u_i = (x_i - y_i) / |x_i - y_i|,
// 0 where the distance is 0, and d = d(loss):
//     dx_i = d / n u_i,  dy_i = -dx_i
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct JointDistanceLossForward {
  const T* x;            // [rows, width]
  const T* y;            // [rows, width]
  Accumulator<T>* loss;  // one element; NaN, the mean of nothing, for no rows
  Index rows;
  Index width;
};

template <class T>
struct JointDistanceLossBackward {
  const T* x;
  const T* y;
  const Accumulator<T>* dloss;
  GradientOut<T> dx;
  GradientOut<T> dy;
  Index rows;
  Index width;
};

}  // namespace posetape
