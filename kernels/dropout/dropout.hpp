// Dropout (Srivastava et al., JMLR 2014): y[i] = keep[i] x[i] / (1 - rate), where keep[i] is 0 with
// probability `rate`, else 1. It is drawn again whenever it is needed: element i is kept where
// number i % 4 of the Philox block i / 4 of (seed, subsequence) is at least rate 2^32
// (kernels/base/philox.hpp). The gradient is the same function of dy.
#pragma once

#include <cstdint>

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct Dropout {
  const T* x;
  GradientOut<T> y;
  Index size;
  std::uint64_t seed;
  std::uint64_t subsequence;  // of step 0
  const double* step;         // null, or one integer to be added to the subsequence
  std::uint64_t threshold;    // rate 2^32
  double scale;               // 1 / (1 - rate)
};

}  // namespace posetape
