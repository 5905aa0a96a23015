// A warp's part of a product of bf16 matrices on tensor cores: sums over k of A[row][k]
// B[k][column] in f32, for 16 m rows and 64 columns, straight from memory to the registers that mma
// wants the numbers in (kernels/cuda/port.hpp), without shared memory. A warp is eight rows g of
// four lanes t:
//
// - Lanes g have the tile's rows 2 m g, 2 m g + 1, ... and columns 8 g, 8 g + 1, ...: the order of
//   both is free, so they are neighbours, whether the matrix or its transpose lies in memory.
// - Lanes t have 8 t to 8 t + 7 of 32 numbers k: the order of a sum's terms is free, if both sides
//   have the same.
//
// The sum of a number goes over k in an order that depends on nothing else, so neither the tile nor
// the GPU changes its bits.
#pragma once

#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/reduce.hpp"

namespace posetape::cuda {

// The lane's place in a warp of eight times four.
__device__ inline int lane_row() {
  return static_cast<int>(threadIdx.x) % kWarp / 4;
}
__device__ inline int lane_part() {
  return static_cast<int>(threadIdx.x) % 4;
}

inline constexpr int kTileColumns = 64;
inline constexpr int kDepth = 32;     // numbers k at a time
inline constexpr int kLaneDepth = 8;  // of a lane

// One side of a product: the numbers of its rows (A's rows, or B's columns) that are in range; zero
// beyond.
struct Side {
  const bf16* data;
  Index stride;
  Index rows;
};

// Its numbers in a lane: n rows' eight k, as pairs of neighbouring k. Lies in memory row by row...
template <int n>
struct AlongRows {
  static constexpr int kRows = n;
  Pack<bf16x2, 4> of[n];

  // Of rows [row, row + n), numbers k of [first, first + 8) below `end`.
  __device__ void load(const Side& side, Index row, Index first, Index end) {
#pragma unroll
    for (int r = 0; r < n; ++r) {
      of[r] = {};
      if (row + r < side.rows && first < end) {
        of[r] = load_vector<Pack<bf16x2, 4>>(side.data + (row + r) * side.stride + first);
      }
    }
  }
  __device__ bf16x2 pair(int k, int row) const {
    return of[row].of[k];
  }
};

// ... or each k has all rows.
template <int n>
struct AcrossRows {
  static constexpr int kRows = n;
  Pack<bf16x2, n / 2> of[kLaneDepth];

  __device__ void load(const Side& side, Index row, Index first, Index end) {
#pragma unroll
    for (int k = 0; k < kLaneDepth; ++k) {
      of[k] = {};
      if (row < side.rows && first + k < end) {
        of[k] = load_vector<Pack<bf16x2, n / 2>>(side.data + (first + k) * side.stride + row);
      }
    }
  }
  __device__ bf16x2 pair(int k, int row) const {
    const bf16x2 first = of[2 * k].of[row / 2], second = of[2 * k + 1].of[row / 2];
    return row % 2 == 0 ? bf16x2{first.x, second.x} : bf16x2{first.y, second.y};
  }
};

// The sums of a lane: of its row 2 i + h and its columns, which are those of two lanes' places c of
// B, 2 t and 2 t + 1.
template <int m>
struct TileSums {
  float of[m][8][4] = {};

  __device__ float& at(int row, int column) {
    return of[row / 2][column % 8][row % 2 * 2 + column / 8];
  }
};

// The first of the lane's 2 m rows, and the first of its 16 columns.
template <int m>
__device__ inline Index row_of_lane(Index tile) {
  return tile + 2 * m * lane_row();
}
__device__ inline Index column_of_lane(Index tile) {
  return tile + 16 * lane_part();
}

// sums += A's rows of the tile times B's columns of it, over k in [begin, end); row_sums, too, gets
// the sums of A's rows where `sums_rows` says so. All lanes call. A and B are AlongRows or
// AcrossRows.
template <class A, class B, int m>
__device__ inline void add_products(const Side& a, Index row, const Side& b, Index column,
                                    Index begin, Index end, TileSums<m>& sums, bool sums_rows,
                                    float (&row_sums)[m][4]) {
  static_assert(A::kRows == 2 * m && B::kRows == 8);
  const Index a_row = row + A::kRows * lane_row();
  const Index b_row = column + B::kRows * lane_row();
  const Index mine = kLaneDepth * lane_part();
  A next_left;
  B next_right;
  next_left.load(a, a_row, begin + mine, end);
  next_right.load(b, b_row, begin + mine, end);
#pragma unroll 1
  for (Index k = begin; k < end; k += kDepth) {
    const A left = next_left;
    const B right = next_right;
    next_left.load(a, a_row, k + kDepth + mine, end);
    next_right.load(b, b_row, k + kDepth + mine, end);
#pragma unroll
    for (int step = 0; step < 2; ++step) {
#pragma unroll
      for (int i = 0; i < m; ++i) {
        const bf16x2 rows[4] = {left.pair(2 * step, 2 * i), left.pair(2 * step, 2 * i + 1),
                                left.pair(2 * step + 1, 2 * i), left.pair(2 * step + 1, 2 * i + 1)};
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          mma(sums.of[i][j], rows, {right.pair(2 * step, j), right.pair(2 * step + 1, j)});
        }
        if (sums_rows) {
          const bf16 one(1.0f);
          mma(row_sums[i], rows, {{one, one}, {one, one}});
        }
      }
    }
  }
}

template <class A, class B, int m>
__device__ inline void add_products(const Side& a, Index row, const Side& b, Index column,
                                    Index begin, Index end, TileSums<m>& sums) {
  float none[m][4];
  add_products<A, B>(a, row, b, column, begin, end, sums, false, none);
}

}  // namespace posetape::cuda
