// The activation functions and their slopes, for the ops of their names and for linear's epilogue.
#pragma once

#include "kernels/math.hpp"

namespace posetape {

// GELU(x) = x Phi(x), exact (Hendrycks and Gimpel, arXiv 1606.08415).
struct Gelu {
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return x * normal_(x).cdf;
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    const auto n = normal_(x);
    return n.cdf + x * n.density;
  }
};

// SiLU(x) = x / (1 + e^-x).
struct Silu {
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return x * sigmoid_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    const A s = sigmoid_(x);
    return s * (A(1) + x * (A(1) - s));
  }
};

}  // namespace posetape
