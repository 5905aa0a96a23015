// The sequences of one axis, for attention's CUDA kernels.
#pragma once

#include <span>

#include "kernels/axial_attention/axial_attention.hpp"
#include "kernels/cuda/kernel.hpp"
#include "kernels/structure_embedding/structure_embedding.hpp"

namespace posetape {

// All sequences of one axis and its segment's heads.
struct Sequences {
  Index count;
  Index length;
  Index inner;  // sequence q's first token is q / inner * outer_step + q % inner
  Index outer_step;
  Index token_step;  // tokens from one to the next
  Index heads;
  Index channels;    // of a head
  Index width;       // D
  Index first_slot;  // of the first head in [0, slots)
  Index slots;       // segments * heads
  Index packed;      // whether heads' rows can be read in packs
  double scale;

  __device__ Index token(Index sequence, Index i) const {
    return sequence / inner * outer_step + sequence % inner + i * token_step;
  }
};

template <class T>
struct ForwardWork {
  const T* qkv;
  const T* add;
  T* out;
  Accumulator<T>* lse;
  Sequences sequences;
  StructureEmbeddingForward<T> local;  // added, too, unless it has no qkv; on tensor cores alone
};

template <class T>
struct BackwardWork {
  const T* qkv;
  const Accumulator<T>* lse;
  const T* dout;
  GradientOut<T> dqkv;
  Accumulator<T>* delta;  // sum_j p_ij dp_ij, laid out as lse; of long sequences
  Sequences sequences;
  StructureEmbeddingBackward<T> local;  // as forward
};

// What one launch does for one axis or two: after the blocks below `begin`, which do something
// else, those below `split` are the first one's, and those below `end` the second one's.
template <class Work>
struct Works {
  Work of[2];
  Index begin;
  Index split;
  Index end;

  __device__ const Work& mine() const { return of[blockIdx.x < split ? 0 : 1]; }
  // Of this work's blocks.
  __device__ Index block() const { return blockIdx.x - (blockIdx.x < split ? begin : split); }
};

template <class Work, class F>
Works<Work> together(std::span<const Work> list, const F& blocks, Index begin = 0) {
  const Index first = blocks(list.front());
  const Index second = list.size() > 1 ? blocks(list.back()) : 0;
  return {{list.front(), list.back()}, begin, begin + first, begin + first + second};
}

}  // namespace posetape
