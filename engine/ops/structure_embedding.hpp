#pragma once

#include "engine/tensor.hpp"

namespace posetape {

// The local term of STC attention: a depthwise 3 x 3 convolution of the values over the grid of
// frames and joints (zero padded, kernel axes in the order frames, joints), plus the embedding of
// each joint's body part on the first half of the channels:
//     out = bias + conv(v, weight) + scale table[part[j], c mod W] for c < D / 2
// qkv [B, N, J, 3D], of which v, the last third, is read; weight [D, 3, 3]; bias [D];
// table [P, W] with part i32 [J], both or neither -> [B, N, J, D]. A part outside of 0 ... P - 1 is
// an Error on the CPU, and gives NaN on another device.
Tensor structure_embedding(const Tensor& qkv, const Tensor& weight, const Tensor& bias,
                           const Tensor& table = {}, const Tensor& part = {}, double scale = 1);

}  // namespace posetape
