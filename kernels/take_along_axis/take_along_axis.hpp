// Chosen along an axis, each place by an index of its own: y[o, k, i] = x[o, index[o, k, i], i].
// The gradient of an element of x is the sum over its uses, a ScatterAdd.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct TakeAlongAxis {
  const T* x;                 // [outer, extent, inner]
  const std::int32_t* index;  // [outer, count, inner], below extent
  GradientOut<T> y;           // [outer, count, inner]
  Index outer;
  Index extent;
  Index count;
  Index inner;
};

}  // namespace posetape
