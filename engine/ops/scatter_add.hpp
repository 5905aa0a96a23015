#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// Sums of x's elements along an axis, each to where its index says: y[.., v, ..] is the sum of the
// x[.., k, ..] with index[.., k, ..] = v, index i32 of x's shape -> that shape with `extent` along
// the axis. Places that no index names are 0. The order of additions is that of k, on all devices.
// An index outside of 0 ... extent - 1 is an Error on the CPU, and gives NaN on another device. The
// index takes no gradient. Onto what is there: add(base, scatter_add(...)).
Tensor scatter_add(const Tensor& x, const Tensor& index, int axis, Index extent);

}  // namespace posetape
