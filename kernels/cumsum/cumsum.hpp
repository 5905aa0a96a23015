// Sums that run along an axis: y[o, k, i] = sum over j <= k of x[o, j, i], or over j >= k where
// reversed, which is the gradient of the other.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct Cumsum {
  const T* x;  // [outer, count, inner]
  GradientOut<T> y;
  Index outer;
  Index count;
  Index inner;
  Index reversed;  // 0 or 1; no bool: arguments have no padding
};

}  // namespace posetape
