// Sums with a fixed order of additions, which depends on shapes alone.
#pragma once

#include "kernels/cuda/kernel.hpp"

namespace posetape::cuda {

inline constexpr unsigned kFullWarp = 0xFFFFFFFFu;
inline constexpr int kWarp = 32;

// The sum of `value` over the warp, and its largest, for every lane. All 32 lanes call.
template <class A>
__device__ inline A warp_sum(A value) {
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(kFullWarp, value, step);
  return value;
}
template <class A>
__device__ inline A warp_max(A value) {
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const A other = __shfl_xor_sync(kFullWarp, value, step);
    value = other > value ? other : value;
  }
  return value;
}

// The sum of `value` over a block of `threads` threads (a multiple of 32), for every thread; all of
// them call. May be called again at once.
template <int threads, class A>
__device__ inline A block_sum(A value) {
  POSETAPE_SHARED(A, parts, threads / kWarp);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) parts[warp] = value;
  __syncthreads();
  A sum = 0;
  for (int i = 0; i < threads / kWarp; ++i) sum += parts[i];
  __syncthreads();  // before `parts` is written again
  return sum;
}

// Sums are cut into chunks of their terms, one block each, whose results are added in order by a
// second kernel.
inline constexpr Index kMostChunks = 64;
inline Index chunk_size(Index terms, Index at_least) {
  const Index each = (terms + kMostChunks - 1) / kMostChunks;
  return each < at_least ? at_least : each;
}

// finish(i, sum over the chunks of partial[chunk][i]) for every i below `width`.
template <class A, class F>
static __global__ void __launch_bounds__(kThreads)
    add_chunks(const A* partial, Index chunks, Index width, F finish) {
  const Index i = Index{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= width) return;
  A sum = 0;
  for (Index c = 0; c < chunks; ++c) sum += partial[c * width + i];
  finish(i, sum);
}

// Columns: a block sums 32 neighbouring columns over a chunk of rows, 8 rows at a time.
inline constexpr int kColumnRows = 8;

template <class A, class F>
static __global__ void __launch_bounds__(kWarp* kColumnRows)
    sum_columns_chunk(Index rows, Index chunk, Index width, A* partial, F at) {
  POSETAPE_SHARED(A, parts, kWarp * kColumnRows);
  const int x = static_cast<int>(threadIdx.x) % kWarp;
  const int y = static_cast<int>(threadIdx.x) / kWarp;
  const Index column = Index{blockIdx.x} * kWarp + x;
  const Index begin = Index{blockIdx.y} * chunk;
  const Index end = begin + chunk < rows ? begin + chunk : rows;
  A sum = 0;
  if (column < width) {
    for (Index r = begin + y; r < end; r += kColumnRows) sum += at(r, column);
  }
  parts[threadIdx.x] = sum;
  __syncthreads();
  if (y != 0 || column >= width) return;
  for (int i = 1; i < kColumnRows; ++i) sum += parts[i * kWarp + x];
  partial[Index{blockIdx.y} * width + column] = sum;
}

// finish(i, sum of at(r, i) over r below `rows`) for every i below `width`, for sums whose terms of
// neighbouring i are neighbours in memory.
template <class A, class At, class F>
static void sum_columns(Index rows, Index width, const At& at, const F& finish) {
  const Index chunk = chunk_size(rows, 16 * kColumnRows);
  const Index chunks = rows > 0 ? (rows + chunk - 1) / chunk : 0;
  const Scratch<A> partial(chunks * width);
  POSETAPE_RUN((sum_columns_chunk<A, At>),
               dim3(blocks_for(width, kWarp), static_cast<unsigned>(chunks)), kWarp * kColumnRows,
               0, rows, chunk, width, partial.data(), at);
  POSETAPE_RUN((add_chunks<A, F>), blocks_for(width, kThreads), kThreads, 0, partial.data(), chunks,
               width, finish);
}

template <class A, class F>
static __global__ void __launch_bounds__(kThreads)
    sum_rows_chunk(Index terms, Index chunk, Index outputs, A* partial, F at) {
  const Index begin = Index{blockIdx.y} * chunk;
  const Index end = begin + chunk < terms ? begin + chunk : terms;
  for (Index i = blockIdx.x; i < outputs; i += gridDim.x) {
    A sum = 0;
    for (Index k = begin + threadIdx.x; k < end; k += kThreads) sum += at(i, k);
    sum = block_sum<kThreads>(sum);
    if (threadIdx.x == 0) partial[Index{blockIdx.y} * outputs + i] = sum;
  }
}

// finish(i, sum of at(i, k) over k below `terms`) for every i below `outputs`, for sums whose terms
// are neighbours in memory.
template <class A, class At, class F>
static void sum_rows(Index outputs, Index terms, const At& at, const F& finish) {
  const Index chunk = chunk_size(terms, 8 * kThreads);
  const Index chunks = terms > 0 ? (terms + chunk - 1) / chunk : 0;
  const Scratch<A> partial(chunks * outputs);
  POSETAPE_RUN((sum_rows_chunk<A, At>),
               dim3(static_cast<unsigned>(outputs), static_cast<unsigned>(chunks)), kThreads, 0,
               terms, chunk, outputs, partial.data(), at);
  POSETAPE_RUN((add_chunks<A, F>), blocks_for(outputs, kThreads), kThreads, 0, partial.data(),
               chunks, outputs, finish);
}

}  // namespace posetape::cuda
