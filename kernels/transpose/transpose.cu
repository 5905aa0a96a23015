// Elements are read where they lie and written in order. Where the source's last axis becomes
// another one, tiles of 32 x 32 go through shared memory, so that both sides touch whole lines.
#include "kernels/transpose/transpose.hpp"

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

static constexpr int kTile = 32;
static constexpr int kTileRows = 8;

// A permutation as its kernels want it: no padding.
struct PermutedLayout {
  Index rank = 0;
  Index extents[kMaxPermuted] = {};
  Index steps[kMaxPermuted] = {};    // in the source
  Index results[kMaxPermuted] = {};  // in the result
};

static PermutedLayout layout(const Permuted& p) {
  PermutedLayout l;
  l.rank = p.rank;
  Index step = 1;
  for (int i = p.rank - 1; i >= 0; --i) {
    l.extents[i] = p.extents[i];
    l.steps[i] = p.steps[i];
    l.results[i] = step;
    step *= p.extents[i];
  }
  return l;
}

// put(to, from) with tiles of the axes `row` (the source's last) and `rank - 1` (the result's); the
// other axes are numbered by blockIdx.z.
template <class T, class Put>
static __global__ void __launch_bounds__(kTile* kTileRows)
    transpose_tiles(const T* source, PermutedLayout l, Index row, Index outer, Put put) {
  POSETAPE_SHARED(T, tile, kTile * (kTile + 1));  // one more: no two rows in one bank
  const Index last = l.rank - 1;
  const int x = static_cast<int>(threadIdx.x) % kTile;
  const int y = static_cast<int>(threadIdx.x) / kTile;
  const Index first_row = Index{blockIdx.y} * kTile;
  const Index first_column = Index{blockIdx.x} * kTile;
  for (Index number = blockIdx.z; number < outer; number += gridDim.z) {
    Index rest = number, from = 0, to = 0;
    for (Index i = last - 1; i >= 0; --i) {
      if (i == row) continue;
      const Index k = rest % l.extents[i];
      rest /= l.extents[i];
      from += k * l.steps[i];
      to += k * l.results[i];
    }
    for (int i = y; i < kTile; i += kTileRows) {
      const Index c = first_column + i;
      const Index r = first_row + x;
      if (c < l.extents[last] && r < l.extents[row]) {
        tile[i * (kTile + 1) + x] = source[from + c * l.steps[last] + r];
      }
    }
    __syncthreads();
    for (int i = y; i < kTile; i += kTileRows) {
      const Index r = first_row + i;
      const Index c = first_column + x;
      if (c < l.extents[last] && r < l.extents[row]) {
        put(to + r * l.results[row] + c, tile[x * (kTile + 1) + i]);
      }
    }
    __syncthreads();
  }
}

// put(to, value) for every element of the result.
template <class T, class Put>
static void permute(const Permuted& p, const T* source, const Put& put) {
  const PermutedLayout l = layout(p);
  const Index last = l.rank - 1;
  Index row = last;
  Index size = 1;
  for (Index i = 0; i < l.rank; ++i) {
    if (l.steps[i] == 1) row = i;
    size *= l.extents[i];
  }
  if (size == 0) return;
  const auto tiles = [](Index n) { return cuda::blocks_for(n, kTile); };
  constexpr unsigned kMostBlocks = 65535;  // of a grid's second and third dimension
  if (row != last && tiles(l.extents[row]) <= kMostBlocks) {
    const Index outer = size / l.extents[row] / l.extents[last];
    const dim3 grid(tiles(l.extents[last]), tiles(l.extents[row]),
                    static_cast<unsigned>(outer < kMostBlocks ? outer : kMostBlocks));
    POSETAPE_RUN((transpose_tiles<T, Put>), grid, kTile * kTileRows, 0, source, l, row, outer, put);
    return;
  }
  cuda::for_each(size, [l, source, put] __device__(Index to) {
    Index rest = to, from = 0;
    for (Index i = l.rank - 1; i >= 0; --i) {
      from += rest % l.extents[i] * l.steps[i];
      rest /= l.extents[i];
    }
    put(to, source[from]);
  });
}

template <class T>
static void compute(const TransposeForward<T>& a) {
  permute(a.permuted, a.x, [y = a.y] __device__(Index to, T value) { y[to] = value; });
}
POSETAPE_CUDA_KERNEL(TransposeForward);

template <class T>
static void compute(const TransposeBackward<T>& a) {
  permute(a.permuted, a.dy, [dx = a.dx] __device__(Index to, T value) { dx.put(to, load(value)); });
}
POSETAPE_CUDA_KERNEL(TransposeBackward);

}  // namespace posetape
