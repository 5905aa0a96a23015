// The function of this op and its slope, for every device.
#pragma once

#include "kernels/math.hpp"

namespace posetape {

struct Tanh {
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return tanh_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    // 1 - tanh^2(x), which has lost its digits where y is near 1.
    return A(4) * sigmoid_(A(2) * x) * sigmoid_(A(-2) * x);
  }
};

}  // namespace posetape
