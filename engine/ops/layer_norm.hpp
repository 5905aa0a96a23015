#pragma once

#include "engine/tensor.hpp"

namespace posetape {

struct Normalized {
  Tensor y;  // [..., D] the normalised sum
  Tensor s;  // [..., D] the sum itself: the residual stream; x where nothing was added
};

// s = x + residual + shift, y = gamma (s - mean) / sqrt(var + eps) + beta over the last dimension.
// x, residual [..., D]; shift [G, D] with the rows of x in G equal consecutive groups (a timestep's
// embedding for each of G sequences); gamma, beta [D]. residual and shift are optional.
Normalized layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps = 1e-5,
                      const Tensor& residual = {}, const Tensor& shift = {});

}  // namespace posetape
