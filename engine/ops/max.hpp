#pragma once

#include "engine/ops/sum.hpp"
#include "engine/tensor.hpp"

namespace posetape {

// The largest and the smallest over some axes, or over all, with sum()'s options; of nothing an
// Error. A NaN is larger, and smaller, than any number. The gradient goes to the first of equal
// ones (in row-major order) alone.
Tensor max(const Tensor& x, const SumOptions& options = {});
Tensor min(const Tensor& x, const SumOptions& options = {});

// Where along one axis the first of the largest is, i32 without that axis; of the smallest:
// argmax(scale(x, -1), axis). No gradient.
Tensor argmax(const Tensor& x, int axis = -1);

}  // namespace posetape
