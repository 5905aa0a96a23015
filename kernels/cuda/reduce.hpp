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

// Sums are cut into chunks of their terms, one block each. The block that comes last adds up what
// all have left, in the order of the chunks, whoever it is.
inline constexpr Index kMostChunks = 64;
inline Index chunk_size(Index terms, Index at_least) {
  const Index each = (terms + kMostChunks - 1) / kMostChunks;
  return each < at_least ? at_least : each;
}
inline Index chunks_of(Index terms, Index chunk) {
  return terms > chunk ? (terms + chunk - 1) / chunk : 1;
}

// True for the last of `blocks` blocks that call with one counter of take_counters(): what the
// others wrote before is there to be read. All threads of the block call, and get the same.
__device__ inline bool comes_last(unsigned* counter, unsigned blocks) {
  POSETAPE_SHARED(int, last, 1);
  __syncthreads();
  if (threadIdx.x == 0) last[0] = ordered_increment(counter, blocks - 1) == blocks - 1;
  __syncthreads();
  return last[0] != 0;
}

// Columns: a block sums 32 neighbouring columns over a chunk of rows, 8 rows at a time.
inline constexpr int kColumnRows = 8;

template <class A, class At, class F>
static __global__ void __launch_bounds__(kWarp* kColumnRows, 1)
    sum_columns_chunk(Index rows, Index chunk, Index width, A* partial, unsigned* counters, At at,
                      F finish) {
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
  const bool writes = y == 0 && column < width;
  if (writes) {
    for (int i = 1; i < kColumnRows; ++i) sum += parts[i * kWarp + x];
    partial[Index{blockIdx.y} * width + column] = sum;
  }
  if (!comes_last(counters + blockIdx.x, gridDim.y) || !writes) return;
  sum = 0;
  for (Index c = 0; c < gridDim.y; ++c) sum += partial[c * width + column];
  finish(column, sum);
}

// finish(i, sum of at(r, i) over r below `rows`) for every i below `width`, for sums whose terms of
// neighbouring i are neighbours in memory.
template <class A, class At, class F>
static void sum_columns(Index rows, Index width, const At& at, const F& finish) {
  // Wide results are cut, so that counters last.
  constexpr Index kMostColumns = kMostCounters * kWarp;
  for (Index first = 0; first < width; first += kMostColumns) {
    const Index count = width - first < kMostColumns ? width - first : kMostColumns;
    const Index chunk = chunk_size(rows, 16 * kColumnRows);
    const Index chunks = chunks_of(rows, chunk);
    const Scratch<A> partial(chunks * count);
    const auto shifted = [at, first] __device__(Index r, Index i) { return at(r, first + i); };
    const auto put = [finish, first] __device__(Index i, A sum) { finish(first + i, sum); };
    const unsigned blocks = blocks_for(count, kWarp);
    POSETAPE_RUN((sum_columns_chunk<A, decltype(shifted), decltype(put)>),
                 dim3(blocks, static_cast<unsigned>(chunks)), kWarp * kColumnRows, 0, rows, chunk,
                 count, partial.data(), take_counters(blocks), shifted, put);
  }
}

template <class A, class At, class F>
static __global__ void __launch_bounds__(kThreads, 1)
    sum_rows_chunk(Index terms, Index chunk, Index outputs, A* partial, unsigned* counter, At at,
                   F finish) {
  const Index begin = Index{blockIdx.y} * chunk;
  const Index end = begin + chunk < terms ? begin + chunk : terms;
  for (Index i = blockIdx.x; i < outputs; i += gridDim.x) {
    A sum = 0;
    for (Index k = begin + threadIdx.x; k < end; k += kThreads) sum += at(i, k);
    sum = block_sum<kThreads>(sum);
    if (threadIdx.x == 0) partial[Index{blockIdx.y} * outputs + i] = sum;
  }
  if (!comes_last(counter, gridDim.x * gridDim.y)) return;
  for (Index i = threadIdx.x; i < outputs; i += kThreads) {
    A sum = 0;
    for (Index c = 0; c < gridDim.y; ++c) sum += partial[c * outputs + i];
    finish(i, sum);
  }
}

template <class A, class At, class F>
static __global__ void __launch_bounds__(kThreads)
    sum_short_rows(Index outputs, Index terms, At at, F finish) {
  const Index i = Index{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= outputs) return;
  A sum = 0;
  for (Index k = 0; k < terms; ++k) sum += at(i, k);
  finish(i, sum);
}

// finish(i, sum of at(i, k) over k below `terms`) for every i below `outputs`, for sums whose terms
// are neighbours in memory.
template <class A, class At, class F>
static void sum_rows(Index outputs, Index terms, const At& at, const F& finish) {
  // A block for each of many rows would be idle threads: one thread takes a row.
  if (terms <= kWarp && outputs > kWarp) {
    POSETAPE_RUN((sum_short_rows<A, At, F>), blocks_for(outputs, kThreads), kThreads, 0, outputs,
                 terms, at, finish);
    return;
  }
  const Index chunk = chunk_size(terms, 8 * kThreads);
  const Index chunks = chunks_of(terms, chunk);
  const Scratch<A> partial(chunks * outputs);
  constexpr Index kMostBlocks = 1 << 16;
  const auto blocks = static_cast<unsigned>(outputs < kMostBlocks ? outputs : kMostBlocks);
  POSETAPE_RUN((sum_rows_chunk<A, At, F>), dim3(blocks, static_cast<unsigned>(chunks)), kThreads, 0,
               terms, chunk, outputs, partial.data(), take_counters(1), at, finish);
}

}  // namespace posetape::cuda
