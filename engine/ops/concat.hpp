#pragma once

#include <initializer_list>
#include <span>

#include "engine/tensor.hpp"

namespace posetape {

// The inputs one after the other along `axis`, counted from the end where negative; their other
// dimensions are equal.
Tensor concat(std::span<const Tensor> inputs, int axis);
inline Tensor concat(std::initializer_list<Tensor> inputs, int axis) {
  return concat(std::span(inputs.begin(), inputs.size()), axis);
}

}  // namespace posetape
