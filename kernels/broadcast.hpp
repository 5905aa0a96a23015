// How two operands are repeated over a common result (numpy's broadcasting).
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

inline constexpr int kMaxAxes = 6;

// The axes of the result, outermost first: extent, and each operand's step along it in elements.
// A step of 0 repeats the operand. Axes of extent 1 are left out and neighbours merged where both
// operands allow it, so equal shapes are one axis, a bias has two, and along the last axis an
// operand's step is 1 or 0. There is always one axis.
struct Broadcast {
  int rank = 0;
  Index extents[kMaxAxes] = {};
  Index a[kMaxAxes] = {};
  Index b[kMaxAxes] = {};
};

}  // namespace posetape
