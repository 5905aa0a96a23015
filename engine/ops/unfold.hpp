#pragma once

#include <array>

#include "engine/tensor.hpp"

namespace posetape {

// Where the patches of an image lie, for rows and columns.
struct UnfoldOptions {
  std::array<Index, 2> stride{1, 1};    // from one patch to the next
  std::array<Index, 2> dilation{1, 1};  // from one pixel of a patch to the next
  // Zeros before the first and after the last row and column.
  std::array<Index, 2> before{0, 0};
  std::array<Index, 2> after{0, 0};
};

// The patches of K by L pixels that a convolution looks at (engine/conv2d.hpp), with zeros outside
// of the image: x [B, H, W, C] -> [B, M, N, K, L, C] with
// M = (before + H + after - (K - 1) dilation - 1) / stride + 1, rounded down, and N so of L and W.
Tensor unfold(const Tensor& x, std::array<Index, 2> size, const UnfoldOptions& options = {});

}  // namespace posetape
