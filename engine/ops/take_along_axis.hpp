#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// x's elements along an axis by an index of their own for each place, as NumPy's take_along_axis
// and PyTorch's gather: y[.., k, ..] = x[.., index[.., k, ..], ..], index i32 of x's shape but for
// the axis -> its shape. An index outside of the axis is an Error on the CPU, and gives NaN on
// another device. The index takes no gradient. One index for all places: gather().
Tensor take_along_axis(const Tensor& x, const Tensor& index, int axis = -1);

}  // namespace posetape
