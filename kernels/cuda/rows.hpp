// Reductions over the rows of a matrix: a row is a warp's, which keeps it in registers, or, where
// it is too wide for that, a block's, which reads it again for each pass.
#pragma once

#include <type_traits>

#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape::cuda {

// The threads of a row, which take turns in packs of n elements. `held` elements of each stay in
// registers; 0 stands for a block's row.
template <int n, int held>
struct RowTeam {
  static constexpr int kPack = n;
  static constexpr bool kHeld = held > 0;
  static constexpr int kTeam = kHeld ? kWarp : kThreads;
  static constexpr int kRows = kThreads / kTeam;  // of a block
  static constexpr int kPacks = kHeld ? held / n : 1;
  template <class A>
  using Values = A[kPacks][n];

  __device__ static Index row() { return Index{blockIdx.x} * kRows + threadIdx.x / kTeam; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kTeam; }

  // f(number of the pack in Values, its first column); numbers are 0 where nothing is held.
  template <class F>
  __device__ static void each(Index width, const F& f) {
    if constexpr (kHeld) {
#pragma unroll
      for (int i = 0; i < kPacks; ++i) {
        const int c = (i * kTeam + lane()) * n;
        if (c < width) f(i, Index{c});
      }
    } else {
      for (Index c = Index{lane()} * n; c < width; c += Index{kTeam} * n) f(0, c);
    }
  }

  // For all threads of the row, which all call; those of a block's row may call again at once.
  template <class A>
  __device__ static A sum(A value) {
    if constexpr (kHeld) {
      return warp_sum(value);
    } else {
      return block_sum<kThreads>(value);
    }
  }
  template <class A>
  __device__ static A max(A value) {
    value = warp_max(value);
    if constexpr (!kHeld) {
      POSETAPE_SHARED(A, parts, kThreads / kWarp);
      if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
      __syncthreads();
      for (int i = 0; i < kThreads / kWarp; ++i) value = parts[i] > value ? parts[i] : value;
      __syncthreads();  // before `parts` is written again
    }
    return value;
  }
};

// Calls f(RowTeam) with the one for rows of this width; warps hold at most `most` elements a lane.
template <class T, int most = 32, class F>
void with_row_team(Index width, bool in_packs, const F& f) {
  constexpr int n = kPack<T>;
  constexpr int kFew = 8;
  if (width > Index{most} * kWarp) {
    in_packs ? f(RowTeam<n, 0>{}) : f(RowTeam<1, 0>{});
  } else if (in_packs) {
    width <= kFew* kWarp ? f(RowTeam<n, kFew>{}) : f(RowTeam<n, most>{});
  } else {
    f(RowTeam<1, most>{});
  }
}

}  // namespace posetape::cuda
