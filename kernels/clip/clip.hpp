// Clipping of gradients by their global norm (Pascanu, Mikolov and Bengio, arXiv 1211.5063):
//     g = g min(1, most / (norm + 1e-6))
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct ClipByNorm {
  T* g;
  const Accumulator<T>* norm;  // one element, of all of g
  Index size;
  double most;

  // Which g is multiplied with; NaN where the norm is NaN.
  constexpr Accumulator<T> factor() const {
    using A = Accumulator<T>;
    const A part = static_cast<A>(most) / (*norm + A(1e-6));
    return part > A(1) ? A(1) : part;
  }
};

}  // namespace posetape
