#pragma once

#include "engine/ops/local_term.hpp"
#include "engine/tensor.hpp"
#include "kernels/axial_attention/axial_attention.hpp"

namespace posetape {

// Self-attention over a grid: qkv [B, N, J, 3D] (q, k, v side by side) -> [B, N, J, D], over the
// joints of a frame (space), the frames of a joint (time), or half of the channels each (cross).
// `heads` of each axis; scale 0 stands for head_width^-1/2. `add` [B, N, J, D] is added to the
// output where given.
Tensor axial_attention(const Tensor& qkv, Axis axis, Index heads, double scale = 0,
                       const Tensor& add = {});

// STC attention (Tang et al., CVPR 2023): structure_embedding(qkv, ...) added, of whose operands
// `local` has the others. Equal to the two ops to the bit; in bf16 on CUDA it is one launch each
// way.
Tensor stc_attention(const Tensor& qkv, Axis axis, Index heads, double scale,
                     const LocalTerm& local);

// Of a node, whose inputs are qkv, add and, of stc_attention() alone, weight, bias, table and part.
struct AttentionAttributes {
  AttentionShape shape;
  double local_scale = 0;
};

}  // namespace posetape
