// Attention between any two sequences, made of other ops; and who looks at whom in axial_attention:
// the probabilities, which its kernels never store, computed a second time for whoever wants to see
// them.
#pragma once

#include <vector>

#include "engine/tensor.hpp"
#include "kernels/axial_attention/axial_attention.hpp"

namespace posetape {

// softmax(q k^T / sqrt(D) + mask) v, the softmax over keys (Vaswani et al., arXiv 1706.03762):
// q [..., T, D], k [..., S, D], v [..., S, E], the mask [T, S] or left out -> [..., T, E]. It keeps
// the T S probabilities for the backward pass.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask = {});

// The mask that lets query t look at keys 0 ... t alone: [length, length] with 0 there, and
// elsewhere -1e30, of which e^x is 0 and which is a finite number.
Tensor causal_mask(Index length, DType dtype, Device device = Device::cpu);

// The probabilities of axial_attention(qkv, layout, heads, scale) along one axis, space or time,
// which the layout must have. Rows (queries) sum to 1.
struct AttentionProbabilities {
  AttentionProbabilities(const Tensor& qkv, Axis layout, Index heads, double scale, Axis axis);

  // [B, N, H, J, J] in space, [B, J, H, N, N] in time.
  Shape shape() const;
  std::vector<double> values() const;
  // Averaged over the batch and over frames (in space) or joints (in time): [H, J, J] or
  // [H, N, N]. Takes no more memory than qkv and the result.
  Shape mean_shape() const;
  std::vector<double> mean() const;

 private:
  template <class F>
  void for_each_row(F&& f) const;
  Index lines() const { return axis_ == Axis::space ? shape_.frames : shape_.joints; }
  Index length() const { return axis_ == Axis::space ? shape_.joints : shape_.frames; }

  Tensor qkv_;
  AttentionShape shape_;
  Axis axis_;
};

// Taps them as "space.attention" and "time.attention", whichever the layout has: the mean, or all
// rows where Taps::Options say so. Call it beside axial_attention, with its arguments.
void tap_attention(const Tensor& qkv, Axis layout, Index heads, double scale = 0);

// Gives the heads of out = axial_attention(qkv, layout, heads, scale, add) their names,
// "space.attention.head<h>" and "time.attention.head<h>", h from 0: what each of them says,
// softmax(q k^T) v, [B, N, J, head width], before `add` comes to it. Returns `out`, with those
// that an observer has replaced (engine/patches.hpp).
[[nodiscard]] Tensor tap_heads(const Tensor& out, Axis layout, Index heads, const Tensor& add = {});

}  // namespace posetape
