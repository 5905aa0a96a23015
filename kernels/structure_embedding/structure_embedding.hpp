// The local term of STC attention (Tang et al., "3D Human Pose Estimation with Spatio-Temporal
// Criss-cross Attention", CVPR 2023, structure-enhanced positional embedding): a depthwise 3 x 3
// convolution of the values over the grid of frames and joints, zero padded, and an embedding of
// the body part of each joint on the spatial half of the channels:
//     out[b, n, j, c] = bias[c] + sum over dn, dj in {-1, 0, 1} of
//                       weight[c, dn + 1, dj + 1] v[b, n + dn, j + dj, c]
//                     + (c < D / 2 ? scale table[part[j], c mod W] : 0)
// v is the last third of qkv, read where it is. Gradients, with d = d(out):
//     dv[b, n, j, c]    = sum of weight[c, 1 - dn, 1 - dj] d[b, n + dn, j + dj, c]
//     dweight[c, t, s]  = sum over b, n, j of d[b, n, j, c] v[b, n + t - 1, j + s - 1, c]
//     dbias[c]          = sum over b, n, j of d[b, n, j, c]
//     dtable[p, w]      = scale times the sum of d[b, n, j, c] with part[j] = p, c mod W = w
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct StructureEmbeddingForward {
  static constexpr bool kRounds = true;  // see kernels/base/dispatch.hpp
  const T* qkv;                          // [B, N, J, 3D]
  const T* weight;                       // [D, 3, 3]
  const T* bias;                         // [D]
  const T* table;                        // [P, W] or null
  const std::int32_t* part;              // [J], below P; null where table is
  T* out;                                // [B, N, J, D]
  Index batch;
  Index frames;
  Index joints;
  Index width;        // D
  Index parts;        // P
  Index table_width;  // W
  double scale;
};

template <class T>
struct StructureEmbeddingBackward {
  static constexpr bool kRounds = true;  // see kernels/base/dispatch.hpp
  const T* qkv;
  const T* weight;
  const std::int32_t* part;
  const T* dout;        // [B, N, J, D]
  GradientOut<T> dqkv;  // the thirds of q and k get zeros, or stay as they are where added to
  GradientOut<T> dweight;
  GradientOut<T> dbias;
  GradientOut<T> dtable;
  Index batch;
  Index frames;
  Index joints;
  Index width;
  Index parts;  // P
  Index table_width;
  double scale;
};

inline constexpr int kTaps = 9;

// Vectors of `width` channels on the grid of frames and joints; `step` elements from one joint to
// the next.
template <class T>
struct Grid {
  const T* data;
  Index step;
  Index frames;
  Index joints;
  Index width;
};

// What the forward pass correlates with the weights, and the backward pass with their reverse.
template <class Args>
POSETAPE_FUNCTION constexpr auto values_of(const Args& a) {
  return Grid{a.qkv + 2 * a.width, 3 * a.width, a.frames, a.joints, a.width};
}
template <class T>
POSETAPE_FUNCTION constexpr Grid<T> cotangents_of(const StructureEmbeddingBackward<T>& a) {
  return {a.dout, a.width, a.frames, a.joints, a.width};
}

}  // namespace posetape
