// The function of this op and its slope, for every device.
#pragma once

#include "kernels/math.hpp"

namespace posetape {

struct Sqrt {
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return sqrt_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A, A y) {
    return A(0.5) / y;
  }
};

}  // namespace posetape
