// The local term of STC attention, which structure_embedding() is and stc_attention() adds.
#pragma once

#include "engine/tape.hpp"
#include "kernels/structure_embedding/structure_embedding.hpp"

namespace posetape {

// weight [D, 3, 3]; bias [D]; table [P, W] with part i32 [J], both or neither.
struct LocalTerm {
  Tensor weight, bias, table, part;
  double scale = 1;
};

// Throws where these and qkv [B, N, J, 3D] do not belong together, in the name of `op`.
void check_local_term(Op op, const Tensor& qkv, const LocalTerm& local);

// Floating-point operations for so many elements of the result.
inline double local_term_flops(Index elements) {
  return 2.0 * kTaps * static_cast<double>(elements);
}

// The kernels' arguments.
template <class T>
StructureEmbeddingForward<T> forward_arguments(const Tensor& qkv, const LocalTerm& local, T* out) {
  const Shape& s = qkv.shape();
  const bool parts = local.table.defined();
  return {qkv.data<T>(),
          local.weight.data<T>(),
          local.bias.data<T>(),
          local.table.data<T>(),
          local.part.data<std::int32_t>(),
          out,
          s[0],
          s[1],
          s[2],
          s[3] / 3,
          parts ? local.table.shape()[0] : 0,
          parts ? local.table.shape()[1] : 0,
          local.scale};
}

// `first` is the node's input that is the weight; bias and table follow it.
template <class T>
StructureEmbeddingBackward<T> backward_arguments(const Node& node, Backward& backward, int first,
                                                 const Tensor& qkv, const Tensor& weight,
                                                 const Tensor& part, double scale,
                                                 GradientOut<T> dqkv) {
  const Shape& s = qkv.shape();
  const Value& table = node.inputs[static_cast<std::size_t>(first) + 2];
  return {qkv.data<T>(),
          weight.data<T>(),
          part.data<std::int32_t>(),
          backward.cotangent().data<T>(),
          dqkv,
          backward.gradient<T>(first),
          backward.gradient<T>(first + 1),
          backward.gradient<T>(first + 2),
          s[0],
          s[1],
          s[2],
          s[3] / 3,
          table.given ? table.shape[0] : 0,
          table.given ? table.shape[1] : 0,
          scale};
}

}  // namespace posetape
