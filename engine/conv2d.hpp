// Convolution of images, made of other ops: their patches, and one product of matrices.
#pragma once

#include "engine/ops/unfold.hpp"
#include "engine/tensor.hpp"

namespace posetape {

struct Conv2dOptions {
  // For rows and columns.
  std::array<Index, 2> stride{1, 1};
  std::array<Index, 2> dilation{1, 1};
  // Zeros before the first and after the last row and column.
  std::array<Index, 2> before{0, 0};
  std::array<Index, 2> after{0, 0};
  // Each of so many parts of the channels gives its part of the results; as many as channels make a
  // depthwise convolution.
  Index groups = 1;
};

// y[b, i, j, o] = bias[o] + sum over p, q, c of
//     weight[o, p, q, c] x[b, i stride + p dilation - before, j stride + q dilation - before, g +
//     c]
// with zeros outside of the image: x [B, H, W, C], weight [O, K, L, C / groups], bias [O] or left
// out -> [B, M, N, O], M and N as unfold() has them, and the first channel g of o's group. It keeps
// the patches, K L times the memory of x for strides of 1. PyTorch's conv2d has [B, C, H, W] and
// weights [O, C / groups, K, L]; zeros on both sides alike are its padding.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const Conv2dOptions& options = {});

}  // namespace posetape
