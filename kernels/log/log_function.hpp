// The function of this op and its slope, for every device.
#pragma once

#include "kernels/math.hpp"

namespace posetape {

struct Log {
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return log_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    return A(1) / x;
  }
};

}  // namespace posetape
