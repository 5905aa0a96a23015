// Filling, converting and accumulating memory: what the engine needs beside the ops.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

// x[i] = value
template <class T>
struct Fill {
  T* x;
  Accumulator<T> value;
  Index size;
};

// y[i] += x[i]
template <class T>
struct Accumulate {
  const T* x;
  T* y;
  Index size;
};

// y[i] = x[i], from storage type S to T
template <class T, class S>
struct Convert {
  const S* x;
  T* y;
  Index size;
};

}  // namespace posetape
