#include "kernels/layer_norm/layer_norm.hpp"

#include "kernels/layer_norm/cuda_layer_norm.hpp"

namespace posetape {

// Elements of a lane in the backward pass, where it holds s, dy and three sums.
static constexpr int kMostSummed = 16;

template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads) layer_norm_forward(LayerNormForward<T> a) {
  const Index row = Team::row();
  if (row >= a.rows) return;
  layer_norm_row<Team>(a, row, true, [&](Index c, const Accumulator<T>(&y)[Team::kPack]) {
    cuda::store_pack<Team::kPack>(a.y + row * a.width + c, y);
  });
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

// One pass for everything; the block that comes last makes the parameters' gradients.
template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads, 1)
    layer_norm_backward(LayerNormBackward<T> a, RowChunks chunks, Accumulator<T>* partial,
                        unsigned* counter) {
  POSETAPE_SHARED(Accumulator<T>, parts, Team::kRows * kNormWidth<Team>);
  layer_norm_backward_chunk<Team>(a, chunks, blockIdx.x, parts, partial,
                                  [&](Index row) { return a.dy + row * a.width; });
  if (cuda::comes_last(counter, gridDim.x)) layer_norm_backward_finish(a, chunks, partial);
}

template <class T, class Team>
static __global__ void __launch_bounds__(cuda::kThreads)
    layer_norm_wide_backward(LayerNormBackward<T> a) {
  using A = Accumulator<T>;
  constexpr int n = Team::kPack;
  const Index row = Team::row();
  layer_norm_backward_row<Team>(
      a, row, a.dy + row * a.width, [](int, const A(&)[n], const A(&)[n]) {},
      [](int, const A(&)[n]) {});
}

template <class T, class Team>
static void backward(const LayerNormBackward<T>& a, Team) {
  const RowChunks chunks = row_chunks(a);
  const Index count = a.groups * chunks.count;
  const cuda::Scratch<Accumulator<T>> partial(count * kNormSums * a.width);
  POSETAPE_RUN((layer_norm_backward<T, Team>), static_cast<unsigned>(count), cuda::kThreads, 0, a,
               chunks, partial.data(), cuda::take_counters(1));
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
template <class T, int n>
static void backward(const LayerNormBackward<T>& a, cuda::RowTeam<n, 0>) {
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
        const SplitMean<A> m(mean[row]);
        return load(dy[at]) * ((load(s[at]) - m.high - m.low) * rstd[row]);
      },
      [dgamma = a.dgamma, dbeta = a.dbeta, width = a.width] __device__(Index i,
                                                                       Accumulator<T> sum) {
        const GradientOut<T>& to = i < width ? dgamma : dbeta;
        if (to.wanted()) to.put(i % width, sum);
      });
}

template <class T>
static void compute(const LayerNormBackward<T>& a) {
  const bool packs = cuda::packed<T>({a.s, a.gamma, a.dy, a.ds_out, a.ds.data}, {a.width});
  cuda::with_row_team<T, kMostSummed>(a.width, packs, [&](auto team) { backward(a, team); });
}
POSETAPE_CUDA_KERNEL(LayerNormBackward);

}  // namespace posetape
