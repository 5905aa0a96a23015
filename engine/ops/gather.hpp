#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// Rows of a table: table [V, D], index i32 [...] -> [..., D]. An index outside of 0 ... V - 1 is an
// Error on the CPU, and gives NaN on another device. The index takes no gradient.
Tensor gather(const Tensor& table, const Tensor& index);

// The same along any axis, as NumPy's take: x [.., V, ..], index i32 of any shape, which stands in
// the place of the axis. Made of other ops. An index of its own for each place: take_along_axis().
Tensor gather(const Tensor& x, const Tensor& index, int axis);

}  // namespace posetape
