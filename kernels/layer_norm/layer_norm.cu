#include "kernels/layer_norm/layer_norm.hpp"

#include "kernels/cuda/rows.hpp"

namespace posetape {

// Elements of a lane in the backward pass, where it holds s, dy and three sums.
static constexpr int kMostSummed = 16;
static constexpr Index kMostBlocks = 256;  // that sum parameter gradients

namespace {

// A mean of f64 in two numbers of A, which are taken off one after the other.
template <class A>
struct Split {
  __device__ explicit Split(LongSum<A> mean)
      : high(static_cast<A>(mean)), low(static_cast<A>(mean - static_cast<LongSum<A>>(high))) {}
  A high, low;
};

}  // namespace

template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads) layer_norm_forward(LayerNormForward<T> a) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const Index row = Team::row();
  if (row >= a.rows) return;
  const T* x = a.x + row * a.width;
  const T* residual = a.residual != nullptr ? a.residual + row * a.width : nullptr;
  const T* shift = a.shift != nullptr ? a.shift + row / a.rows_per_shift * a.width : nullptr;
  T* s = a.s != nullptr ? a.s + row * a.width : nullptr;
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
  const Split<A> mean(whole);
  Team::each(a.width, [&](int i, Index c) {
    if constexpr (!Team::kHeld) cuda::load_pack<n>(again + c, held[i]);
    A gamma[n], beta[n];
    cuda::load_pack<n>(a.gamma + c, gamma);
    cuda::load_pack<n>(a.beta + c, beta);
#pragma unroll
    for (int e = 0; e < n; ++e) {
      gamma[e] = (held[i][e] - mean.high - mean.low) * rstd * gamma[e] + beta[e];
    }
    cuda::store_pack<n>(a.y + row * a.width + c, gamma);
  });
  if (Team::lane() == 0) {
    a.mean[row] = whole;
    a.rstd[row] = rstd;
  }
}

template <class T>
static void compute(const LayerNormForward<T>& a) {
  const bool packs =
      cuda::packed<T>({a.x, a.residual, a.shift, a.gamma, a.beta, a.s, a.y}, {a.width});
  cuda::with_row_team<T>(a.width, packs, [&](auto team) {
    using Team = decltype(team);
    POSETAPE_RUN((layer_norm_forward<T, Team>), cuda::blocks_for(a.rows, Team::kRows),
                 cuda::kThreads, 0, a);
  });
}
POSETAPE_CUDA_KERNEL(LayerNormForward);

// ds of one row, whose s and dy become n and dy. Calls parameters(pack, dy, n) and, where ds is
// wanted, shift(pack, ds) for each pack.
template <class Team, class T, class F, class G>
__device__ inline void backward_row(const LayerNormBackward<T>& a, Index row, const F& parameters,
                                    const G& shift) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const Split<A> mean(a.mean[row]);
  const A rstd = a.rstd[row];
  const Index first = row * a.width;
  typename Team::template Values<A> normal, dy;
  const auto load_both = [&](int i, Index c) {
    cuda::load_pack<n>(a.s + first + c, normal[i]);
    cuda::load_pack<n>(a.dy + first + c, dy[i]);
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
    if (a.ds.into == Into::add) {
      cuda::load_pack<n>(a.ds.data + first + c, more);
#pragma unroll
      for (int e = 0; e < n; ++e) value[e] += more[e];
    }
    cuda::store_pack<n>(a.ds.data + first + c, value);
    shift(i, value);
  });
}

// How a group's rows are cut: a block takes `each` of them, the last one what is left.
struct RowChunks {
  Index rows;
  Index each;
  Index count;
};

// One pass for everything: each warp sums its columns over its rows of the block's chunk, the block
// its warps' sums, into partial[block][dgamma, dbeta, dshift][width], and the last block all
// blocks', or of dshift those of its group.
template <class T, class Team, class F>
static __global__ void __launch_bounds__(cuda::kThreads, 1)
    layer_norm_backward(LayerNormBackward<T> a, RowChunks chunks, Accumulator<T>* partial,
                        unsigned* counter, F finish) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  constexpr int kWidth = Team::kPacks * n * cuda::kWarp;
  constexpr int kSums = 3;
  POSETAPE_SHARED(A, parts, Team::kRows * kWidth);
  const int warp = static_cast<int>(threadIdx.x) / cuda::kWarp;
  const Index group = blockIdx.x / chunks.count;
  const Index begin = group * chunks.rows + blockIdx.x % chunks.count * chunks.each;
  const Index left = (group + 1) * chunks.rows - begin;
  const Index end = begin + (chunks.each < left ? chunks.each : left);
  typename Team::template Values<A> sums[kSums] = {};
  for (Index row = begin + warp; row < end; row += Team::kRows) {
    backward_row<Team>(
        a, row,
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
  const int count = a.dshift.wanted() ? kSums : 2;
#pragma unroll
  for (int which = 0; which < kSums; ++which) {
    if (which >= count) break;
    Team::each(a.width, [&](int i, Index c) {
#pragma unroll
      for (int e = 0; e < n; ++e) parts[warp * kWidth + c + e] = sums[which][i][e];
    });
    __syncthreads();
    for (Index c = threadIdx.x; c < a.width; c += cuda::kThreads) {
      A sum = 0;
      for (int w = 0; w < Team::kRows; ++w) sum += parts[w * kWidth + c];
      partial[(Index{blockIdx.x} * kSums + which) * a.width + c] = sum;
    }
    __syncthreads();
  }
  if (!cuda::comes_last(counter, gridDim.x)) return;
  const auto total = [&](Index first, Index blocks, Index i) {
    A sum = 0;
    for (Index b = first; b < first + blocks; ++b) sum += partial[b * kSums * a.width + i];
    return sum;
  };
  for (Index i = threadIdx.x; i < 2 * a.width; i += cuda::kThreads) {
    finish(i, total(0, gridDim.x, i));
  }
  if (!a.dshift.wanted()) return;
  for (Index i = threadIdx.x; i < a.groups * a.width; i += cuda::kThreads) {
    const Index first = i / a.width * chunks.count;
    a.dshift.put(i, total(first, chunks.count, 2 * a.width + i % a.width));
  }
}

template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads)
    layer_norm_wide_backward(LayerNormBackward<T> a) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  backward_row<Team>(
      a, Team::row(), [](int, const A(&)[n], const A(&)[n]) {}, [](int, const A(&)[n]) {});
}

template <class T, class Team, class F>
static void backward(const LayerNormBackward<T>& a, Team, const F& finish) {
  using A = Accumulator<T>;
  const Index at_least = 4 * Team::kRows;
  const Index each = (a.rows + kMostBlocks - 1) / kMostBlocks;
  const Index chunk = each < at_least ? at_least : each;
  const Index rows = a.rows / a.groups;
  const RowChunks chunks{rows, chunk, cuda::chunks_of(rows, chunk)};
  const auto blocks = static_cast<unsigned>(a.groups * chunks.count);
  const cuda::Scratch<A> partial(Index{blocks} * 3 * a.width);
  POSETAPE_RUN((layer_norm_backward<T, Team, F>), blocks, cuda::kThreads, 0, a, chunks,
               partial.data(), cuda::take_counters(1), finish);
}

template <class T>
static void wide_shift_backward(const LayerNormBackward<T>& a) {
  using A = Accumulator<T>;
  cuda::sum_columns<A>(
      a.rows / a.groups, a.groups * a.width,
      [ds = a.ds.data, rows = a.rows / a.groups, width = a.width] __device__(Index row, Index i) {
        return load(ds[(i / width * rows + row) * width + i % width]);
      },
      [dshift = a.dshift] __device__(Index i, A sum) { dshift.put(i, sum); });
}

// Of rows too wide for a warp: ds first, then the other gradients column by column.
template <class T, int n, class F>
static void backward(const LayerNormBackward<T>& a, cuda::RowTeam<n, 0>, const F& finish) {
  if (a.ds.wanted()) {
    POSETAPE_RUN((layer_norm_wide_backward<T, cuda::RowTeam<n, 0>>), static_cast<unsigned>(a.rows),
                 cuda::kThreads, 0, a);
  }
  if (a.dshift.wanted()) wide_shift_backward(a);
  if (!a.dgamma.wanted() && !a.dbeta.wanted()) return;
  cuda::sum_columns<Accumulator<T>>(
      a.rows, 2 * a.width,
      [s = a.s, dy = a.dy, mean = a.mean, rstd = a.rstd, width = a.width] __device__(Index row,
                                                                                     Index i) {
        using A = Accumulator<T>;
        const Index at = row * width + i % width;
        if (i >= width) return load(dy[at]);
        const Split<A> m(mean[row]);
        return load(dy[at]) * ((load(s[at]) - m.high - m.low) * rstd[row]);
      },
      finish);
}

template <class T>
static void compute(const LayerNormBackward<T>& a) {
  const bool packs = cuda::packed<T>({a.s, a.gamma, a.dy, a.ds_out, a.ds.data}, {a.width});
  const auto finish = [dgamma = a.dgamma, dbeta = a.dbeta, width = a.width] __device__(
                          Index i, Accumulator<T> sum) {
    if (i < width && dgamma.wanted()) dgamma.put(i, sum);
    if (i >= width && dbeta.wanted()) dbeta.put(i - width, sum);
  };
  cuda::with_row_team<T, kMostSummed>(a.width, packs,
                                      [&](auto team) { backward(a, team, finish); });
}
POSETAPE_CUDA_KERNEL(LayerNormBackward);

}  // namespace posetape
