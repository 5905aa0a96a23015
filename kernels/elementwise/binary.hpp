// Elementwise functions of two tensors, broadcast: a struct by the name of each op, for every
// device, with
//     A value(A a, A b)                 y = f(a, b)
//     A da(A dy, A a, A b)              dy df/da
//     A db(A dy, A a, A b)              dy df/db
//     kFlops                            operations for an element's value
// or, with `kLinear` true, da(A dy) and db(A dy). kPasses says of each operand that its slope is 1,
// so that its gradient is the cotangent itself where it is not repeated.
#pragma once

#include "kernels/broadcast.hpp"

namespace posetape {

// y = f(a, b)
template <class T, class F>
struct BinaryForward {
  const T* a;
  const T* b;
  T* y;
  Broadcast broadcast;
};

// da = sum of dy df/da over the axes along which a is repeated; db likewise.
template <class T, class F>
struct BinaryBackward {
  const T* a;  // a and b are null where the slopes do not depend on them
  const T* b;
  const T* dy;
  GradientOut<T> da;
  GradientOut<T> db;
  Broadcast broadcast;
};

namespace binary {

struct add {
  static constexpr int kFlops = 1;
  static constexpr bool kLinear = true;
  static constexpr bool kPasses[] = {true, true};
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

struct sub {
  static constexpr int kFlops = 1;
  static constexpr bool kLinear = true;
  static constexpr bool kPasses[] = {true, false};
  template <class A>
  POSETAPE_FUNCTION static A value(A a, A b) {
    return a - b;
  }
  template <class A>
  POSETAPE_FUNCTION static A da(A dy) {
    return dy;
  }
  template <class A>
  POSETAPE_FUNCTION static A db(A dy) {
    return -dy;
  }
};

struct mul {
  static constexpr int kFlops = 1;
  static constexpr bool kLinear = false;
  static constexpr bool kPasses[] = {false, false};
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

struct div {
  static constexpr int kFlops = 1;
  static constexpr bool kLinear = false;
  static constexpr bool kPasses[] = {false, false};
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

// The larger of both; b where it is a NaN, so that either one shows. Of equal ones a.
struct maximum {
  static constexpr int kFlops = 1;
  static constexpr bool kLinear = false;
  static constexpr bool kPasses[] = {false, false};
  template <class A>
  POSETAPE_FUNCTION static bool is_b(A a, A b) {
    return b > a || b != b;
  }
  template <class A>
  POSETAPE_FUNCTION static A value(A a, A b) {
    return is_b(a, b) ? b : a;
  }
  template <class A>
  POSETAPE_FUNCTION static A da(A dy, A a, A b) {
    return is_b(a, b) ? A(0) : dy;
  }
  template <class A>
  POSETAPE_FUNCTION static A db(A dy, A a, A b) {
    return is_b(a, b) ? dy : A(0);
  }
};

// The smaller, likewise.
struct minimum {
  static constexpr int kFlops = 1;
  static constexpr bool kLinear = false;
  static constexpr bool kPasses[] = {false, false};
  template <class A>
  POSETAPE_FUNCTION static bool is_b(A a, A b) {
    return b < a || b != b;
  }
  template <class A>
  POSETAPE_FUNCTION static A value(A a, A b) {
    return is_b(a, b) ? b : a;
  }
  template <class A>
  POSETAPE_FUNCTION static A da(A dy, A a, A b) {
    return is_b(a, b) ? A(0) : dy;
  }
  template <class A>
  POSETAPE_FUNCTION static A db(A dy, A a, A b) {
    return is_b(a, b) ? dy : A(0);
  }
};

}  // namespace binary

}  // namespace posetape
