// Convolution over time: conv2d (engine/conv2d.hpp) of images of one row.
#pragma once

#include "engine/tensor.hpp"

namespace posetape {

struct Conv1dOptions {
  Index stride = 1;
  Index dilation = 1;
  // Zeros before the first and after the last frame: (K - 1) dilation before and none after make it
  // causal.
  Index before = 0;
  Index after = 0;
};

// y[b, n, o] = bias[o] + sum over k, c of weight[o, k, c] x[b, n stride + k dilation - before, c]:
// x [B, T, C], weight [O, K, C], bias [O] or left out -> [B, N, O] with
// N = (before + T + after - (K - 1) dilation - 1) / stride + 1, rounded down. It keeps the
// patches that the product is of, K times the memory of x for a stride of 1.
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const Conv1dOptions& options = {});

}  // namespace posetape
