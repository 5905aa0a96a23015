// Multi-head self-attention along one axis of a grid of N frames x J joints, or along both at once:
// the criss-cross attention of STCFormer (Tang et al., CVPR 2023), where the first half of the
// channels attends in space and the second half in time. For each head, along its axis,
//     s_ij = scale q_i . k_j,   p_ij = exp(s_ij - lse_i),   o_i = sum_j p_ij v_j
// and backwards, with dp_ij = do_i . v_j and ds_ij = p_ij (dp_ij - sum_j p_ij dp_ij):
//     dq_i = scale sum_j ds_ij k_j,  dk_j = scale sum_i ds_ij q_i,  dv_j = sum_i p_ij do_i
// Only the log-sum-exp of each row is kept; no N x N array is ever stored.
#pragma once

#include "kernels/base/scalar.hpp"
#include "kernels/structure_embedding/structure_embedding.hpp"

namespace posetape {

// cross: channels [0, D/2) in space, [D/2, D) in time, each half with all its heads.
enum class Axis { space, time, cross };

struct AttentionShape {
  Index batch;
  Index frames;
  Index joints;
  Index width;  // D
  Index heads;  // of each axis
  Axis axis;
  double scale;

  Index segments() const { return axis == Axis::cross ? 2 : 1; }
  Index head_width() const { return width / segments() / heads; }
  Index tokens() const { return batch * frames * joints; }
  // Of a segment of the channels: the axis that it attends along, and its sequences.
  bool is_space(Index segment) const {
    return axis == Axis::space || (axis == Axis::cross && segment == 0);
  }
  Index length(Index segment) const { return is_space(segment) ? joints : frames; }
  Index sequences(Index segment) const { return batch * (is_space(segment) ? frames : joints); }
  Index first_token(Index segment, Index sequence) const {
    return is_space(segment) ? sequence * joints
                             : sequence / joints * frames * joints + sequence % joints;
  }
  Index token_step(Index segment) const { return is_space(segment) ? 1 : joints; }
};

template <class T>
struct AxialAttentionForward {
  static constexpr bool kProduct = true;

  const T* qkv;         // [B, N, J, 3D]: q, then k, then v
  const T* add;         // [B, N, J, D] added to the output, or null
  T* out;               // [B, N, J, D]
  Accumulator<T>* lse;  // [B, N, J, segments * heads]
  AttentionShape shape;
};

template <class T>
struct AxialAttentionBackward {
  static constexpr bool kProduct = true;

  const T* qkv;
  const Accumulator<T>* lse;
  const T* dout;
  GradientOut<T> dqkv;
  AttentionShape shape;
};

// STC attention: the structure embedding of the same qkv is added to attention's output. The
// results are those of the two one after the other, to the bit, for which CUDA needs one launch
// each way.
template <class T>
struct StcAttentionForward {
  AxialAttentionForward<T> attention;  // adds nothing else
  StructureEmbeddingForward<T> local;  // without memory for its result
};

template <class T>
struct StcAttentionBackward {
  AxialAttentionBackward<T> attention;
  StructureEmbeddingBackward<T> local;  // without dqkv
};

// run(arguments) of the one, then of the other.
template <class T, class F>
void in_turn(StcAttentionForward<T> a, const F& run) {
  a.local.out = a.attention.out;
  run(a.local);
  a.attention.add = a.attention.out;
  run(a.attention);
}
template <class T, class F>
void in_turn(StcAttentionBackward<T> a, const F& run) {
  if (a.attention.dqkv.wanted()) {
    run(a.attention);
    a.local.dqkv = {a.attention.dqkv.data, Into::add};
  }
  run(a.local);
}

}  // namespace posetape
