// x[i] = independent standard normal numbers: element i is number i % 4 of the Philox block i / 4
// of (seed, subsequence), by Box and Muller from two words each (kernels/base/philox.hpp).
#pragma once

#include <cstdint>

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct NormalFill {
  T* x;
  Index size;
  std::uint64_t seed;
  std::uint64_t subsequence;  // of step 0
  const double* step;         // null, or one integer to be added to the subsequence
};

}  // namespace posetape
