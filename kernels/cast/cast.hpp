// y = x in another storage type S, forward by Convert (kernels/fill). The gradient is the cotangent
// converted back: dx = dy in type T.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T, class S>
struct CastBackward {
  const S* dy;
  GradientOut<T> dx;
  Index size;
};

}  // namespace posetape
