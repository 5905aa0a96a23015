// The sequences of one axis, for attention's CUDA kernels.
#pragma once

#include "kernels/axial_attention/axial_attention.hpp"
#include "kernels/cuda/kernel.hpp"

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
};

template <class T>
struct BackwardWork {
  const T* qkv;
  const Accumulator<T>* lse;
  const T* dout;
  GradientOut<T> dqkv;
  Accumulator<T>* delta;  // sum_j p_ij dp_ij, laid out as lse; of long sequences
  Sequences sequences;
};

}  // namespace posetape
