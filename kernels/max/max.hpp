// The largest along an axis: y[o, i] = max over k of x[o, k, i]. A NaN counts as the largest. The
// gradient goes to the first of the largest:
//     dx[o, k, i] = dy[o, i] where k is that of the first, else 0
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct MaxForward {
  const T* x;           // [outer, count, inner]
  T* y;                 // [outer, inner]
  std::int32_t* place;  // [outer, inner]: k of the first of the largest
  Index outer;
  Index count;  // at least 1
  Index inner;
};

template <class T>
struct MaxBackward {
  const std::int32_t* place;
  const T* dy;
  GradientOut<T> dx;
  Index outer;
  Index count;
  Index inner;
};

// Whether a later element takes the place of the best so far.
template <class A>
POSETAPE_FUNCTION static inline bool is_above(A value, A best) {
  return value > best || (value != value && best == best);
}

}  // namespace posetape
