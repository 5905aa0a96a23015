// Elementwise functions of one tensor: a struct by the name of each op, for every device, with
//     A value(A x)             y = f(x)
//     A slope(A x, A y)        f'(x), given x and y = f(x)
//     kFlops                   operations for an element's value
// The CPU's kernels are built for each instruction set, and once more on numbers that carry
// derivatives; therefore the functions are templates, and elementary functions are those of
// kernels/base/math.hpp.
#pragma once

#include "kernels/base/math.hpp"

namespace posetape {

// y[i] = f(x[i])
template <class T, class F>
struct UnaryForward {
  const T* x;
  T* y;
  Index size;
};

// dx[i] = dy[i] f'(x[i]), written or added
template <class T, class F>
struct UnaryBackward {
  const T* x;
  const T* y;
  const T* dy;
  GradientOut<T> dx;
  Index size;
};

namespace unary {

// max(x, 0); the slope at 0 is taken as 0.
struct relu {
  static constexpr int kFlops = 1;
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    // Numbers that carry a derivative (kernels/base/numbers.hpp) have at 0 the slope below.
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

// |x|; the slope at 0 is taken as 0.
struct abs {
  static constexpr int kFlops = 1;
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    // As relu's.
    if constexpr (requires { x.value; }) {
      if (x == A(0)) return A(x.value);
    }
    return x < A(0) ? -x : x;
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    return x > A(0) ? A(1) : x < A(0) ? A(-1) : A(0);
  }
};

struct exp {
  static constexpr int kFlops = 4;
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return exp_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A, A y) {
    return y;
  }
};

struct log {
  static constexpr int kFlops = 4;
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return log_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    return A(1) / x;
  }
};

// The slope at 0 is infinite.
struct sqrt {
  static constexpr int kFlops = 1;
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return sqrt_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A, A y) {
    return A(0.5) / y;
  }
};

struct tanh {
  static constexpr int kFlops = 6;
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

// 1 / (1 + e^-x)
struct sigmoid {
  static constexpr int kFlops = 5;
  template <class A>
  POSETAPE_FUNCTION static A value(A x) {
    return sigmoid_(x);
  }
  template <class A>
  POSETAPE_FUNCTION static A slope(A x, A) {
    return sigmoid_(x) * sigmoid_(-x);  // of y alone, 1 - y would have lost its digits near 1
  }
};

// x s with s = 1 / (1 + e^-x). The slope is s (1 + x (1 - s)).
struct silu {
  static constexpr int kFlops = 6;
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

// x Phi(x), Phi the normal distribution, exactly and not by the tanh formula (Hendrycks and Gimpel,
// arXiv 1606.08415). The slope is Phi(x) + x phi(x), phi the density.
struct gelu {
  static constexpr int kFlops = 10;
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

}  // namespace unary

}  // namespace posetape
