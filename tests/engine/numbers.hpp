// Numbers that scripts with PyTorch can make, too (numbers() of conv2d_values.py,
// optimiser_values.py).
#pragma once

#include <cmath>
#include <vector>

#include "engine/tensor.hpp"

namespace posetape {

using Doubles = std::vector<double>;

inline Tensor numbers(const Shape& shape, int seed, DType dtype = DType::f64) {
  Doubles x;
  for (Index i = 0; i < shape.size(); ++i) {
    x.push_back(std::sin(1.0 + 0.7 * static_cast<double>(i) + 1.3 * seed));
  }
  return Tensor::of(shape, x, dtype);
}

}  // namespace posetape
