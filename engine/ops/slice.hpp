#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The elements begin ... end - 1 of x along `axis`, counted from the end where negative.
// 0 <= begin <= end <= the dimension. The result has memory of its own.
Tensor slice(const Tensor& x, int axis, Index begin, Index end);

}  // namespace posetape
