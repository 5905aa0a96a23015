// y = f(x W^T + b), the workhorse. W is [out, in] as in the checkpoints of the field.
// With z = x W^T + b and dz = f'(z) dy:
//     dx = dz W,  dW = dz^T x,  db = sum of dz over the rows
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

enum class Activation { none, gelu, silu };

template <class T>
struct LinearForward {
  static constexpr bool kProduct = true;  // see kernels/base/dispatch.hpp
  const T* x;                             // [rows, in]
  const T* w;                             // [out, in]
  const T* b;                             // [out] or null
  T* z;  // [rows, out] before the activation; null where it is not kept
  T* y;  // [rows, out]
  Index rows;
  Index in;
  Index out;
  Activation activation;
};

template <class T>
struct LinearBackward {
  static constexpr bool kProduct = true;  // see kernels/base/dispatch.hpp
  const T* x;
  const T* w;
  const T* z;  // null without activation
  const T* dy;
  T* dz;  // [rows, out] scratch; null without activation
  GradientOut<T> dx;
  GradientOut<T> dw;
  GradientOut<T> db;
  Index rows;
  Index in;
  Index out;
  Activation activation;
};

}  // namespace posetape
