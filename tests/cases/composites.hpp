// The fused ops once more, made of small ones: an oracle that shares no kernel with what it checks.
// Arguments are those of the op, with no defaults.
#pragma once

#include "engine/ops.hpp"

namespace posetape {

Tensor abs_composite(const Tensor& x);
Tensor axial_attention_composite(const Tensor& qkv, Axis axis, Index heads, double scale,
                                 const Tensor& add);
Tensor blend_composite(const Tensor& p, const Tensor& x, const Tensor& q, const Tensor& y);
Tensor cross_entropy_composite(const Tensor& logits, const Tensor& classes);
Tensor cumsum_composite(const Tensor& x, int axis);
Tensor div_composite(const Tensor& a, const Tensor& b);  // b > 0
Tensor dropout_composite(const Tensor& x, double rate, std::uint64_t seed, Stream stream,
                         std::uint64_t step);
Tensor joint_distance_loss_composite(const Tensor& prediction, const Tensor& target);
Normalized layer_norm_composite(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                double eps, const Tensor& residual, const Tensor& shift);
Tensor linear_composite(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Activation activation);
Tensor log_softmax_composite(const Tensor& x);
Tensor max_composite(const Tensor& x, const SumOptions& options);
Tensor maximum_composite(const Tensor& a, const Tensor& b);
Tensor minimum_composite(const Tensor& a, const Tensor& b);
Tensor mse_loss_composite(const Tensor& prediction, const Tensor& target);
Tensor pow_composite(const Tensor& x, double exponent);  // x > 0
Tensor scale_composite(const Tensor& x, double factor, double offset);
Tensor scatter_add_composite(const Tensor& x, const Tensor& index, int axis, Index extent);
Tensor sigmoid_composite(const Tensor& x);
Tensor silu_composite(const Tensor& x);
Tensor softmax_composite(const Tensor& x);
Tensor sqrt_composite(const Tensor& x);  // x > 0
Tensor stc_attention_composite(const Tensor& qkv, Axis axis, Index heads, double scale,
                               const LocalTerm& local);
Tensor structure_embedding_composite(const Tensor& qkv, const Tensor& weight, const Tensor& bias,
                                     const Tensor& table, const Tensor& part, double scale);
Tensor take_along_axis_composite(const Tensor& x, const Tensor& index, int axis);
Tensor tanh_composite(const Tensor& x);
Tensor unfold_composite(const Tensor& x, std::array<Index, 2> size, const UnfoldOptions& options);
Tensor where_composite(const Tensor& condition, const Tensor& x, const Tensor& y);

}  // namespace posetape
