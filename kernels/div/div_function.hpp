// The function of this op and its slopes, for every device.
#pragma once

#include "kernels/scalar.hpp"

namespace posetape {

struct Div {
  static constexpr bool kLinear = false;
  template <class A>
  POSETAPE_FUNCTION static A value(A a, A b) {
    return a / b;
  }
  template <class A>
  POSETAPE_FUNCTION static A da(A dy, A, A b) {
    return dy / b;
  }
  // b twice in a quotient, as b * b may overflow where the result does not.
  template <class A>
  POSETAPE_FUNCTION static A db(A dy, A a, A b) {
    return -dy * (a / b) / b;
  }
};

}  // namespace posetape
