// Rows of a table: y[i] = table[index[i]]. The gradient of a row is the sum over its uses:
//     dtable[v] = sum of dy[i] with index[i] = v
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct GatherForward {
  const T* table;             // [rows, width]
  const std::int32_t* index;  // [count], below rows
  T* y;                       // [count, width]
  Index rows;
  Index count;
  Index width;
};

template <class T>
struct GatherBackward {
  const std::int32_t* index;
  const T* dy;
  GradientOut<T> dtable;
  Index rows;
  Index count;
  Index width;
};

}  // namespace posetape
