#pragma once

#include <span>
#include <vector>

#include "engine/tensor.hpp"

namespace posetape {

struct SumOptions {
  std::vector<int> axes = {};  // counted from the end where negative; none means all
  bool keepdims = false;       // the summed dimensions stay, as 1
};

// The sum over some axes, or over all. A sum of nothing is 0.
Tensor sum(const Tensor& x, const SumOptions& options = {});

// The same divided by the number of terms: the sum and a scale. A mean of nothing is NaN.
Tensor mean(const Tensor& x, const SumOptions& options = {});

// The mean of (x - mean)^2, divided by the number of terms and not by one less: made of other ops.
Tensor var(const Tensor& x, const SumOptions& options = {});

}  // namespace posetape
