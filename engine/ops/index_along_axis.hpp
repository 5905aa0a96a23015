// What take_along_axis and scatter_add ask of their index.
#pragma once

#include "engine/operands.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// Throws where one is outside of 0 ... extent - 1. Kernels give NaN for those that the host cannot
// look at.
inline void check_range(Op op, const Tensor& index, Index extent) {
  if (index.device() != Device::cpu) return;
  const auto all = index.values<std::int32_t>();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] >= 0 && all[i] < extent) continue;
    fail("{}: index {} (element {} of {}) is out of range for an axis of {}", name(op), all[i], i,
         index.shape().text(), extent);
  }
}

}  // namespace posetape
