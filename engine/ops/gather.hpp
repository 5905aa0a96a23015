#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// Rows of a table: table [V, D], index i32 [...] -> [..., D]. An index outside of 0 ... V - 1 is an
// Error on the CPU, and gives NaN on another device. The index takes no gradient.
Tensor gather(const Tensor& table, const Tensor& index);

}  // namespace posetape
