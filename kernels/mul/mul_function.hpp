// The function of this op and its slopes, for every device.
#pragma once

#include "kernels/scalar.hpp"

namespace posetape {

struct Mul {
  static constexpr bool kLinear = false;
  template <class A>
  POSETAPE_FUNCTION static A value(A a, A b) {
    return a * b;
  }
  template <class A>
  POSETAPE_FUNCTION static A da(A dy, A, A b) {
    return dy * b;
  }
  template <class A>
  POSETAPE_FUNCTION static A db(A dy, A a, A) {
    return dy * a;
  }
};

}  // namespace posetape
