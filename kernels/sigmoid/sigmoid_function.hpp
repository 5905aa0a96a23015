// The function of this op and its slope, for every device.
#pragma once

#include "kernels/math.hpp"

namespace posetape {

struct Sigmoid {
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return sigmoid_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    return sigmoid_(x) * sigmoid_(-x);  // of y alone, 1 - y would have lost its digits near 1
  }
};

}  // namespace posetape
