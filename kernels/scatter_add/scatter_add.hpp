// Sums by index along an axis: y[o, v, i] = sum of x[o, k, i] over the k with index[o, k, i] = v,
// in the order of k. The gradient is a TakeAlongAxis.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct ScatterAdd {
  const T* x;                 // [outer, count, inner]
  const std::int32_t* index;  // [outer, count, inner], below extent
  GradientOut<T> y;           // [outer, extent, inner]
  Index outer;
  Index extent;
  Index count;
  Index inner;
};

}  // namespace posetape
