#pragma once

#include <initializer_list>
#include <span>

#include "engine/tensor.hpp"

namespace posetape {

// x with its axes in another order: axis i of the result is axis axes[i] of x, counted from the end
// where negative. The result has memory of its own.
Tensor transpose(const Tensor& x, std::span<const int> axes);
inline Tensor transpose(const Tensor& x, std::initializer_list<int> axes) {
  return transpose(x, std::span(axes.begin(), axes.size()));
}

}  // namespace posetape
