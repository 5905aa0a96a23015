// Arguments of elementwise functions of one tensor. Every such op derives its own names from these,
// so that its kernels are its own.
#pragma once

#include "kernels/scalar.hpp"

namespace posetape {

// y[i] = f(x[i])
template <class T>
struct UnaryForward {
  const T* x;
  T* y;
  Index size;
};

// dx[i] = dy[i] f'(x[i]), written or added
template <class T>
struct UnaryBackward {
  const T* x;
  const T* y;
  const T* dy;
  GradientOut<T> dx;
  Index size;
};

}  // namespace posetape
