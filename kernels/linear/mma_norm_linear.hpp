// A layer norm and the linear layer after it in one launch, and their backward pass in another:
// rows of up to 256 numbers of bf16, on tensor cores. Part of linear.cu. Bits are those of the two
// apart, whose rows (kernels/layer_norm/cuda_layer_norm.hpp) and tiles (mma_linear.hpp) these are,
// with what goes from one to the other in shared memory, rounded to bf16 as it would be in the
// device's.
//
// A block has 32 m whole rows: two warps above each other, four beside each other.
#pragma once

#include "kernels/layer_norm/cuda_layer_norm.hpp"
#include "kernels/linear/mma_linear.hpp"

namespace posetape::mma_linear {

inline constexpr Index kMostWidth = kMostBeside * kTileColumns;
using NormTeam = cuda::RowTeam<8, 8>;  // that of layer_norm.cu for rows of this width
static_assert(NormTeam::kRows == kMostWarps && NormTeam::kPacks * 8 * cuda::kWarp == kMostWidth);

// A block's rows in shared memory. The eight lanes that read at once have two rows, 2 m apart,
// which the pitch puts into different banks.
template <int m>
struct BlockRows {
  static constexpr int kRows = kMostWarps / kMostBeside * 16 * m;
  static constexpr int kPitch = kMostWidth + 16 / m;
  using Pack = cuda::Pack<bf16, 8>;
  static constexpr int kPacks = kRows * kPitch / 8;

  bf16* data;

  __device__ explicit BlockRows(Pack* memory) : data(memory->of) {}
  __device__ bf16* row(Index r) const { return data + r * kPitch; }
};

struct NormForward {
  LayerNormForward<bf16> norm;
  Forward linear;
};

template <int m>
static __global__ void __launch_bounds__(kMostThreads, 1) norm_linear_forward_mma(NormForward a) {
  using Rows = BlockRows<m>;
  POSETAPE_SHARED(typename Rows::Pack, memory, Rows::kPacks);
  const Rows rows(memory);
  const Index width = a.norm.width;
  const Index first = blockIdx.x / a.linear.tiles.across * Rows::kRows;
  const Index left = a.norm.rows - first;
  const Index count = left < Rows::kRows ? left : Rows::kRows;
  // Blocks beside each other have the same rows, and one of them keeps what is made of these.
  const bool keeps = blockIdx.x % a.linear.tiles.across == 0;
  for (Index r = threadIdx.x / cuda::kWarp; r < count; r += kMostWarps) {
    layer_norm_row<NormTeam>(a.norm, first + r, keeps, [&](Index c, const float(&y)[8]) {
      cuda::store_pack(rows.row(r) + c, y);
      if (keeps) cuda::store_pack(a.norm.y + (first + r) * width + c, y);
    });
  }
  __syncthreads();
  const Tile tile = Tile::of<m>(a.linear.tiles, blockIdx.x);
  if (!tile.inside) return;
  TileSums<m> sums;
  cuda::add_products<AlongRows<2 * m>, AlongRows<8>>(
      {rows.data, Rows::kPitch, count}, tile.row - first,
      {a.linear.w, width, a.linear.tiles.columns}, tile.column, 0, width, sums);
  put_forward(a.linear, tile, sums);
}

struct NormBackward {
  Backward linear;
  LayerNormBackward<bf16> norm;
  RowChunks chunks;
  Index blocks;  // with rows of a group
  float* partial;
  unsigned* counter;
};

template <int m>
static __global__ void __launch_bounds__(kMostThreads, 1) norm_linear_backward_mma(NormBackward a) {
  using Rows = BlockRows<m>;
  static_assert(Rows::kRows == m * kLeastNormRows);
  POSETAPE_SHARED(typename Rows::Pack, memory, Rows::kPacks);
  POSETAPE_SHARED(float, parts, NormTeam::kRows* kNormWidth<NormTeam>);
  const Index with_rows = a.norm.groups * a.blocks;
  if (blockIdx.x >= with_rows) return weight_backward<m>(a.linear, blockIdx.x - with_rows);
  const Rows rows(memory);
  const Index group = blockIdx.x / a.blocks;
  const Index block = blockIdx.x % a.blocks;
  const Index first = group * a.chunks.rows + block * Rows::kRows;
  const Index left = (group + 1) * a.chunks.rows - first;
  const Index count = left < Rows::kRows ? left : Rows::kRows;
  const Index warp = threadIdx.x / cuda::kWarp;
  const Tile tile{warp / kMostBeside * 16 * m, warp % kMostBeside * kTileColumns, true};
  if (tile.row < count && tile.column < a.linear.in) {
    TileSums<m> sums;
    cuda::add_products<AlongRows<2 * m>, AcrossRows<8>>(
        {a.linear.dz + first * a.linear.out, a.linear.out, count}, tile.row,
        {a.linear.w, a.linear.in, a.linear.in}, tile.column, 0, a.linear.out, sums);
    each_pack(count, a.linear.in, tile, sums, [&](Index row, Index column, float(&values)[8]) {
      cuda::store_pack(rows.row(row) + column, values);
    });
  }
  __syncthreads();
  for (Index c = block * m; c < (block + 1) * m && c < a.chunks.count; ++c) {
    layer_norm_backward_chunk<NormTeam>(a.norm, a.chunks, group * a.chunks.count + c, parts,
                                        a.partial,
                                        [&](Index row) { return rows.row(row - first); });
  }
  if (cuda::comes_last(a.counter, static_cast<unsigned>(with_rows))) {
    layer_norm_backward_finish(a.norm, a.chunks, a.partial);
  }
}

inline bool forward(const NormLinearForward<bf16>& a) {
  const LayerNormForward<bf16>& n = a.norm;
  const LinearForward<bf16>& l = a.linear;
  if (n.width > kMostWidth ||
      !takes({n.x, n.residual, n.shift, n.gamma, n.beta, n.s, n.y, l.w, l.b, l.z, l.y}, l.rows,
             l.in, l.out)) {
    return false;
  }
  const auto blocks = [&](int m, int) {
    return Tiles(l.rows, l.out, m, kMostWarps, kMostBeside).count;
  };
  with_tile(blocks, [&](auto m, int) {
    const Tiles tiles(l.rows, l.out, m, kMostWarps, kMostBeside);
    POSETAPE_RUN(
        (norm_linear_forward_mma<m>), static_cast<unsigned>(tiles.count), kMostThreads, 0,
        NormForward{n, {l.x, l.w, l.b, l.z, l.y, l.in, static_cast<Index>(l.activation), tiles}});
  });
  return true;
}

inline bool backward(const NormLinearBackward<bf16>& a) {
  const LayerNormBackward<bf16>& n = a.norm;
  const LinearBackward<bf16>& l = a.linear;
  const RowChunks chunks = row_chunks(n);
  if (n.width > kMostWidth || chunks.each != kLeastNormRows || !l.dw.wanted() ||
      l.activation != Activation::none ||
      !takes({n.s, n.gamma, n.ds_out, n.ds.data, l.x, l.w, l.dy, l.dw.data}, l.rows, l.in, l.out)) {
    return false;
  }
  const Index chunk = chunk_of(l.rows, l.in, l.out);
  const auto with_rows = [&](int m) { return n.groups * cuda::blocks_for(chunks.count, m); };
  const auto blocks = [&](int m, int) {
    return with_rows(m) + Tiles(l.out, l.in, m, kMostWarps).count * cuda::chunks_of(l.rows, chunk);
  };
  with_tile(blocks, [&](auto m, int) {
    const Tiles dw(l.out, l.in, m, kMostWarps);
    const Parts parts(l, dw, chunk, m, kMostWarps);
    const cuda::Scratch<float> partial(n.groups * chunks.count * kNormSums * n.width);
    POSETAPE_RUN(
        (norm_linear_backward_mma<m>),
        static_cast<unsigned>(with_rows(m) + dw.count * parts.chunks), kMostThreads, 0,
        NormBackward{arguments(l, l.dy, dw, dw, parts), n, chunks,
                     cuda::blocks_for(chunks.count, m), partial.data(), cuda::take_counters(1)});
  });
  return true;
}

}  // namespace posetape::mma_linear
