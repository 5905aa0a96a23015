// Rows of layer norm's CUDA kernels, also for layers that begin with one.
#pragma once

#include "kernels/cuda/rows.hpp"
#include "kernels/layer_norm/layer_norm.hpp"

namespace posetape {

// A mean of f64 in two numbers of A, which are taken off one after the other.
template <class A>
struct SplitMean {
  __device__ explicit SplitMean(LongSum<A> mean)
      : high(static_cast<A>(mean)), low(static_cast<A>(mean - static_cast<LongSum<A>>(high))) {}
  A high, low;
};

// One row: put(column, values) gets y, pack by pack. The sum, mean and rstd are stored where
// `keeps` says so, which is a must for rows that are not held.
template <class Team, class T, class F>
__device__ inline void layer_norm_row(const LayerNormForward<T>& a, Index row, bool keeps,
                                      const F& put) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const T* x = a.x + row * a.width;
  const T* residual = a.residual != nullptr ? a.residual + row * a.width : nullptr;
  const T* shift = a.shift != nullptr ? a.shift + row / a.rows_per_shift * a.width : nullptr;
  T* s = a.s != nullptr && keeps ? a.s + row * a.width : nullptr;
  const T* again = s != nullptr ? s : x;  // each thread reads what it has written
  typename Team::template Values<A> held;
  A sum = 0;
  Team::each(a.width, [&](int i, Index c) {
    cuda::load_pack<n>(x + c, held[i]);
    A more[n];
    if (residual != nullptr) {
      cuda::load_pack<n>(residual + c, more);
#pragma unroll
      for (int e = 0; e < n; ++e) held[i][e] += more[e];
    }
    if (shift != nullptr) {
      cuda::load_pack<n>(shift + c, more);
#pragma unroll
      for (int e = 0; e < n; ++e) held[i][e] += more[e];
    }
    if (s != nullptr) cuda::store_pack<n>(s + c, held[i]);
#pragma unroll
    for (int e = 0; e < n; ++e) {
      held[i][e] = load(store<T>(held[i][e]));  // as the backward pass sees it
      sum += held[i][e];
    }
  });
  const auto width = static_cast<A>(a.width);
  const A near = Team::sum(sum) / width;
  // The second pass also sums what the first has left of the mean.
  A rest = 0;
  A squares = 0;
  Team::each(a.width, [&](int i, Index c) {
    if constexpr (!Team::kHeld) cuda::load_pack<n>(again + c, held[i]);
#pragma unroll
    for (int e = 0; e < n; ++e) {
      const A d = held[i][e] - near;
      rest += d;
      squares += d * d;
    }
  });
  rest = Team::sum(rest) / width;
  A variance = Team::sum(squares) / width - rest * rest;
  if (variance < A(0)) variance = A(0);  // of a constant row, by rounding
  const A rstd = A(1) / sqrt_(variance + static_cast<A>(a.eps));
  const LongSum<A> whole = static_cast<LongSum<A>>(near) + static_cast<LongSum<A>>(rest);
  const SplitMean<A> mean(whole);
  Team::each(a.width, [&](int i, Index c) {
    if constexpr (!Team::kHeld) cuda::load_pack<n>(again + c, held[i]);
    A gamma[n], beta[n];
    cuda::load_pack<n>(a.gamma + c, gamma);
    cuda::load_pack<n>(a.beta + c, beta);
#pragma unroll
    for (int e = 0; e < n; ++e) {
      gamma[e] = (held[i][e] - mean.high - mean.low) * rstd * gamma[e] + beta[e];
    }
    put(c, gamma);
  });
  if (keeps && Team::lane() == 0) {
    a.mean[row] = whole;
    a.rstd[row] = rstd;
  }
}

// ds of one row, whose s and dy become n and dy; its dy lies at `dy_row`. Calls parameters(pack,
// dy, n) and, where ds is wanted, shift(pack, ds) for each pack.
template <class Team, class T, class F, class G>
__device__ inline void layer_norm_backward_row(const LayerNormBackward<T>& a, Index row,
                                               const T* dy_row, const F& parameters,
                                               const G& shift) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const SplitMean<A> mean(a.mean[row]);
  const A rstd = a.rstd[row];
  const Index first = row * a.width;
  typename Team::template Values<A> normal, dy;
  const auto load_both = [&](int i, Index c) {
    cuda::load_pack<n>(a.s + first + c, normal[i]);
    cuda::load_pack<n>(dy_row + c, dy[i]);
#pragma unroll
    for (int e = 0; e < n; ++e) normal[i][e] = (normal[i][e] - mean.high - mean.low) * rstd;
  };
  A sum_g = 0, sum_gn = 0;
  Team::each(a.width, [&](int i, Index c) {
    load_both(i, c);
    parameters(i, dy[i], normal[i]);
    A gamma[n];
    cuda::load_pack<n>(a.gamma + c, gamma);
#pragma unroll
    for (int e = 0; e < n; ++e) {
      const A g = dy[i][e] * gamma[e];
      sum_g += g;
      sum_gn += g * normal[i][e];
    }
  });
  if (!a.ds.wanted()) return;
  const A mean_g = Team::sum(sum_g) / static_cast<A>(a.width);
  const A mean_gn = Team::sum(sum_gn) / static_cast<A>(a.width);
  Team::each(a.width, [&](int i, Index c) {
    if constexpr (!Team::kHeld) load_both(i, c);
    A value[n], more[n];
    cuda::load_pack<n>(a.gamma + c, value);
#pragma unroll
    for (int e = 0; e < n; ++e) {
      value[e] = rstd * (dy[i][e] * value[e] - mean_g - normal[i][e] * mean_gn);
    }
    if (a.ds_out != nullptr) {
      cuda::load_pack<n>(a.ds_out + first + c, more);
#pragma unroll
      for (int e = 0; e < n; ++e) value[e] += more[e];
    }
    cuda::put_pack<n>(a.ds, first + c, value);
    shift(i, value);
  });
}

// How a group's rows are cut: a chunk has `each` of them, the last one of a group what is left.
struct RowChunks {
  Index rows;
  Index each;
  Index count;
};
inline constexpr Index kLeastNormRows = 32;  // of a chunk
inline constexpr Index kMostNormChunks = 256;

template <class T>
RowChunks row_chunks(const LayerNormBackward<T>& a) {
  const Index each = (a.rows + kMostNormChunks - 1) / kMostNormChunks;
  const Index chunk = each < kLeastNormRows ? kLeastNormRows : each;
  const Index rows = a.rows / a.groups;
  return {rows, chunk, cuda::chunks_of(rows, chunk)};
}

// Of a chunk, or of all: dgamma, dbeta, dshift, [3][width].
inline constexpr int kNormSums = 3;
template <class Team>
inline constexpr int kNormWidth = Team::kPacks* Team::kPack* cuda::kWarp;

// ds of a chunk's rows and its sums: each warp sums its columns over its rows, the block its warps'
// sums. dy_of(row) is where a row's dy lies; `parts` is shared memory, [Team::kRows][kNormWidth].
template <class Team, class T, class F>
__device__ inline void layer_norm_backward_chunk(const LayerNormBackward<T>& a,
                                                 const RowChunks& chunks, Index chunk,
                                                 Accumulator<T>* parts, Accumulator<T>* partial,
                                                 const F& dy_of) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  constexpr int kWidth = kNormWidth<Team>;
  const int warp = static_cast<int>(threadIdx.x) / cuda::kWarp;
  const Index group = chunk / chunks.count;
  const Index begin = group * chunks.rows + chunk % chunks.count * chunks.each;
  const Index left = (group + 1) * chunks.rows - begin;
  const Index end = begin + (chunks.each < left ? chunks.each : left);
  typename Team::template Values<A> sums[kNormSums] = {};
  for (Index row = begin + warp; row < end; row += Team::kRows) {
    layer_norm_backward_row<Team>(
        a, row, dy_of(row),
        [&](int i, const A(&dy)[n], const A(&normal)[n]) {
#pragma unroll
          for (int e = 0; e < n; ++e) {
            sums[0][i][e] += dy[e] * normal[e];
            sums[1][i][e] += dy[e];
          }
        },
        [&](int i, const A(&ds)[n]) {
#pragma unroll
          for (int e = 0; e < n; ++e) sums[2][i][e] += load(store<T>(ds[e]));
        });
  }
  const int count = a.dshift.wanted() ? kNormSums : 2;
#pragma unroll
  for (int which = 0; which < kNormSums; ++which) {
    if (which >= count) break;
    Team::each(a.width, [&](int i, Index c) {
#pragma unroll
      for (int e = 0; e < n; ++e) parts[warp * kWidth + c + e] = sums[which][i][e];
    });
    __syncthreads();
    for (Index c = threadIdx.x; c < a.width; c += cuda::kThreads) {
      A sum = 0;
      for (int w = 0; w < Team::kRows; ++w) sum += parts[w * kWidth + c];
      partial[(chunk * kNormSums + which) * a.width + c] = sum;
    }
    __syncthreads();
  }
}

// The gradients of the parameters, by one block, from the sums of all chunks.
template <class T>
__device__ inline void layer_norm_backward_finish(const LayerNormBackward<T>& a,
                                                  const RowChunks& chunks,
                                                  const Accumulator<T>* partial) {
  using A = Accumulator<T>;
  const auto total = [&](Index first, Index count, Index i) {
    A sum = 0;
    for (Index b = first; b < first + count; ++b) sum += partial[b * kNormSums * a.width + i];
    return sum;
  };
  for (Index i = threadIdx.x; i < 2 * a.width; i += cuda::kThreads) {
    const GradientOut<T>& to = i < a.width ? a.dgamma : a.dbeta;
    if (to.wanted()) to.put(i % a.width, total(0, a.groups * chunks.count, i));
  }
  if (!a.dshift.wanted()) return;
  for (Index i = threadIdx.x; i < a.groups * a.width; i += cuda::kThreads) {
    a.dshift.put(i, total(i / a.width * chunks.count, chunks.count, 2 * a.width + i % a.width));
  }
}

}  // namespace posetape
