// The function of this op and its slopes, for every device.
#pragma once

#include "kernels/scalar.hpp"

namespace posetape {

struct Add {
  static constexpr bool kLinear = true;
  template <class A>
  POSETAPE_FUNCTION static A value(A a, A b) {
    return a + b;
  }
  template <class A>
  POSETAPE_FUNCTION static A da(A dy) {
    return dy;
  }
  template <class A>
  POSETAPE_FUNCTION static A db(A dy) {
    return dy;
  }
};

}  // namespace posetape
