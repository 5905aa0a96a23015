// y = x^p with a constant p, as C's pow() has it. dx = p x^(p - 1) dy, and 0 for p = 0.
#pragma once

#include "kernels/base/math.hpp"

namespace posetape {

template <class T>
struct PowForward {
  const T* x;
  T* y;
  Index size;
  double exponent;
};

template <class T>
struct PowBackward {
  const T* x;
  const T* dy;
  GradientOut<T> dx;
  Index size;
  double exponent;

  template <class A>
  POSETAPE_FUNCTION A slope(A value) const {
    if (exponent == 0) return A(0);
    return static_cast<A>(exponent) * pow_(value, exponent - 1);
  }
};

}  // namespace posetape
