// The function of this op and its slope, for every device.
#pragma once

#include "kernels/scalar.hpp"

namespace posetape {

struct Relu {
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    // Numbers that carry a derivative (kernels/numbers.hpp) have at 0 the slope below.
    if constexpr (requires { x.value; }) {
      if (x == A(0)) return A(x.value);
    }
    return x < A(0) ? A(0) : x;  // a NaN stays a NaN
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    return x > A(0) ? A(1) : A(0);
  }
};

}  // namespace posetape
