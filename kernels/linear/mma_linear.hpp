// A linear layer of bf16 on tensor cores by products of our own, for what a library's leave a
// launch each for: the activation after the forward product, both gradients beside each other, and
// a layer norm before it (mma_norm_linear.hpp). Part of linear.cu, whose other kernels are its
// oracle.
//
// A block has some warps' tiles of 16 m rows and 64 columns (kernels/cuda/mma_product.hpp). Of the
// backward pass the first blocks have dx, the others dW and db: a tile of them over a chunk of the
// rows each, whose sums the last block of a tile adds up in order.
#pragma once

#include "kernels/cuda/gemm.hpp"
#include "kernels/cuda/mma_product.hpp"
#include "kernels/elementwise/unary.hpp"
#include "kernels/linear/linear.hpp"

namespace posetape::mma_linear {

using cuda::AcrossRows;
using cuda::AlongRows;
using cuda::kTileColumns;
using cuda::TileSums;

inline constexpr int kMostWarps = 8;   // of a block
inline constexpr int kMostBeside = 4;  // of them beside each other
inline constexpr int kMostThreads = kMostWarps * cuda::kWarp;

// How a result is cut into tiles. Numbers as wide as addresses, since the emulation would take two
// narrow ones side by side for one.
struct Tiles {
  Index rows;
  Index columns;
  Index beside;  // warps of a block beside each other
  Index across;  // blocks beside each other
  Index count;   // of blocks

  // Blocks as square as they get, which read least: 128 x 128 or 64 x 64.
  Tiles(Index all_rows, Index all_columns, int m, int warps)
      : Tiles(all_rows, all_columns, m, warps,
              warps == kMostWarps && all_columns > kTileColumns ? 2 : 1) {}
  Tiles(Index all_rows, Index all_columns, int m, int warps, Index of_a_block)
      : rows(all_rows), columns(all_columns), beside(of_a_block) {
    across = cuda::blocks_for(columns, beside * kTileColumns);
    count = across * cuda::blocks_for(rows, warps / beside * 16 * m);
  }
};

// A warp's tile of a block's.
struct Tile {
  Index row;
  Index column;
  bool inside;

  template <int m>
  __device__ static Tile of(const Tiles& all, Index block) {
    const Index warp = threadIdx.x / cuda::kWarp;
    const Index warps = blockDim.x / cuda::kWarp;
    const Index row = (block / all.across * (warps / all.beside) + warp / all.beside) * 16 * m;
    const Index column = (block % all.across * all.beside + warp % all.beside) * kTileColumns;
    return {row, column, row < all.rows && column < all.columns};
  }
};

// f(row, column, eight neighbours) for all numbers of a lane that are below these.
template <int m, class F>
__device__ inline void each_pack(Index rows, Index columns, const Tile& tile, TileSums<m>& sums,
                                 const F& f) {
  const Index first_row = cuda::row_of_lane<m>(tile.row);
  const Index first_column = cuda::column_of_lane(tile.column);
#pragma unroll
  for (int r = 0; r < 2 * m; ++r) {
    if (first_row + r >= rows) break;
#pragma unroll
    for (int c = 0; c < 16; c += 8) {
      if (first_column + c >= columns) break;
      float values[8];
#pragma unroll
      for (int e = 0; e < 8; ++e) values[e] = sums.at(r, c + e);
      f(first_row + r, first_column + c, values);
    }
  }
}

struct Forward {
  const bf16* x;
  const bf16* w;
  const bf16* b;
  bf16* z;
  bf16* y;
  Index in;
  Index activation;
  Tiles tiles;
};

__device__ inline float activated(Activation f, float z) {
  return f == Activation::gelu ? unary::gelu::value(z) : unary::silu::value(z);
}
__device__ inline float slope(Activation f, float z) {
  return f == Activation::gelu ? unary::gelu::slope(z, z) : unary::silu::slope(z, z);
}

// What becomes of a tile's sums.
template <int m>
__device__ inline void put_forward(const Forward& a, const Tile& tile, TileSums<m>& sums) {
  const auto activation = static_cast<Activation>(a.activation);
  each_pack(a.tiles.rows, a.tiles.columns, tile, sums,
            [&](Index row, Index column, float(&values)[8]) {
              const Index at = row * a.tiles.columns + column;
              float bias[8] = {};
              if (a.b != nullptr) cuda::load_pack(a.b + column, bias);
#pragma unroll
              for (int e = 0; e < 8; ++e) values[e] += bias[e];
              if (activation != Activation::none) {
                if (a.z != nullptr) cuda::store_pack(a.z + at, values);
#pragma unroll
                for (int e = 0; e < 8; ++e) {
                  values[e] = activated(activation, load(store<bf16>(values[e])));
                }
              }
              cuda::store_pack(a.y + at, values);
            });
}

template <int m>
__device__ inline void forward_tile(const Forward& a, Index block) {
  const Tile tile = Tile::of<m>(a.tiles, block);
  if (!tile.inside) return;
  TileSums<m> sums;
  cuda::add_products<AlongRows<2 * m>, AlongRows<8>>({a.x, a.in, a.tiles.rows}, tile.row,
                                                     {a.w, a.in, a.tiles.columns}, tile.column, 0,
                                                     a.in, sums);
  put_forward(a, tile, sums);
}

template <int m>
static __global__ void __launch_bounds__(kMostThreads, 1) linear_forward_mma(Forward a) {
  forward_tile<m>(a, blockIdx.x);
}

// Layers of one x: all has what they share, and `of` the rest of each.
struct ForwardLayer {
  const bf16* w;
  const bf16* b;
  bf16* y;
};
struct ForwardLayers {
  Forward all;
  ForwardLayer of[kMostLayers];
};

template <int m>
static __global__ void __launch_bounds__(kMostThreads, 1)
    linears_forward_mma(ForwardLayers layers) {
  Forward a = layers.all;
  const ForwardLayer& layer = layers.of[blockIdx.x / a.tiles.count];
  a.w = layer.w;
  a.b = layer.b;
  a.y = layer.y;
  forward_tile<m>(a, blockIdx.x % a.tiles.count);
}

struct Backward {
  const bf16* x;
  const bf16* w;
  const bf16* dz;
  GradientOut<bf16> dx;
  GradientOut<bf16> dw;
  GradientOut<bf16> db;
  const bf16* z_before;  // dx is its gradient, or null
  Index before;          // its activation
  Index rows;
  Index in;
  Index out;
  Tiles dx_tiles;
  Tiles dw_tiles;
  Index chunk;  // rows of one
  Index chunks;
  float* partial;     // [chunks][tiles of dw][warps][numbers of a tile]
  float* partial_db;  // [chunks][out]
  unsigned* counters;
};

// dW and db: number `block` of those that have them.
template <int m>
__device__ inline void weight_backward(const Backward& a, Index block) {
  const Index number = block % a.dw_tiles.count;
  const Index chunk = block / a.dw_tiles.count;
  const Tile tile = Tile::of<m>(a.dw_tiles, number);
  TileSums<m> sums;
  const bool sums_rows = a.db.wanted() && tile.column == 0;
  float row_sums[m][4] = {};
  if (tile.inside) {
    const Index begin = chunk * a.chunk;
    const Index left = a.rows - begin;
    const Index end = begin + (left < a.chunk ? left : a.chunk);
    cuda::add_products<AcrossRows<2 * m>, AcrossRows<8>>({a.dz, a.out, a.out}, tile.row,
                                                         {a.x, a.in, a.in}, tile.column, begin, end,
                                                         sums, sums_rows, row_sums);
  }
  const auto each_row_sum = [&](const auto& f) {
    if (!sums_rows || cuda::lane_part() != 0) return;
#pragma unroll
    for (int r = 0; r < 2 * m; ++r) {
      const Index row = cuda::row_of_lane<m>(tile.row) + r;
      if (row < a.out) f(row_sums[r / 2][r % 2 * 2], row);
    }
  };
  if (a.chunks > 1) {
    const Index lane = threadIdx.x % cuda::kWarp;
    const Index warps = blockDim.x / cuda::kWarp;
    const Index warp = threadIdx.x / cuda::kWarp;
    const auto numbers = [&](Index of_chunk) {
      constexpr Index kNumbers = 16 * m * kTileColumns;
      const Index at = (of_chunk * a.dw_tiles.count + number) * warps + warp;
      return a.partial + at * kNumbers + 4 * lane;
    };
    const auto each_quad = [&](const auto& f) {
#pragma unroll
      for (int i = 0; i < m; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) f(sums.of[i][j], (i * 8 + j) * 4 * cuda::kWarp);
      }
    };
    float* mine = numbers(chunk);
    each_quad([&](float(&quad)[4], int at) { cuda::store_pack(mine + at, quad); });
    each_row_sum([&](float& sum, Index row) { a.partial_db[chunk * a.out + row] = sum; });
    if (!cuda::comes_last(a.counters + number, static_cast<unsigned>(a.chunks))) return;
    sums = {};
    each_row_sum([&](float& sum, Index) { sum = 0; });
    for (Index c = 0; c < a.chunks; ++c) {
      const float* of = numbers(c);
      each_quad([&](float(&quad)[4], int at) {
        float more[4];
        cuda::load_pack(of + at, more);
#pragma unroll
        for (int e = 0; e < 4; ++e) quad[e] += more[e];
      });
      each_row_sum([&](float& sum, Index row) { sum += a.partial_db[c * a.out + row]; });
    }
  }
  if (!tile.inside) return;
  each_pack(a.out, a.in, tile, sums, [&](Index row, Index column, float(&values)[8]) {
    cuda::put_pack(a.dw, row * a.in + column, values);
  });
  each_row_sum([&](float sum, Index row) { a.db.put(row, sum); });
}

template <int m>
__device__ inline void input_backward(const Backward& a, Index block) {
  const Tile tile = Tile::of<m>(a.dx_tiles, block);
  if (!tile.inside) return;
  TileSums<m> sums;
  cuda::add_products<AlongRows<2 * m>, AcrossRows<8>>(
      {a.dz, a.out, a.rows}, tile.row, {a.w, a.in, a.in}, tile.column, 0, a.out, sums);
  each_pack(a.rows, a.in, tile, sums, [&](Index row, Index column, float(&values)[8]) {
    const Index at = row * a.in + column;
    if (a.z_before != nullptr) {
      float z[8];
      cuda::load_pack(a.z_before + at, z);
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        // Rounded as if it had been in memory, so that bits are those of two layers.
        values[e] = load(store<bf16>(values[e])) * slope(static_cast<Activation>(a.before), z[e]);
      }
    }
    cuda::put_pack(a.dx, at, values);
  });
}

template <int m>
static __global__ void __launch_bounds__(kMostThreads, 1) linear_backward_mma(Backward a) {
  if (blockIdx.x < a.dx_tiles.count) return input_backward<m>(a, blockIdx.x);
  weight_backward<m>(a, blockIdx.x - a.dx_tiles.count);
}

// As forward. A tile of dx goes from the last layer to the first, and is rounded between them as it
// would be by layers apart.
struct BackwardLayer {
  const bf16* w;
  const bf16* dz;
  GradientOut<bf16> dw;
  GradientOut<bf16> db;
};
struct BackwardLayers {
  Backward all;
  BackwardLayer of[kMostLayers];
  Index count;
};

template <int m>
static __global__ void __launch_bounds__(kMostThreads, 1)
    linears_backward_mma(BackwardLayers layers) {
  Backward a = layers.all;
  const auto choose = [&](Index i) {
    a.w = layers.of[i].w;
    a.dz = layers.of[i].dz;
    a.dw = layers.of[i].dw;
    a.db = layers.of[i].db;
  };
  if (blockIdx.x >= a.dx_tiles.count) {
    const Index block = blockIdx.x - a.dx_tiles.count;
    choose(block / a.dw_tiles.count);
    return weight_backward<m>(a, block % a.dw_tiles.count);
  }
  for (Index i = layers.count; i-- > 0;) {
    choose(i);
    input_backward<m>(a, blockIdx.x);
    a.dx.into = Into::add;
  }
}

// Whether these kernels do a layer whose matrices lie there.
inline bool takes(std::initializer_list<const void*> matrices, Index rows, Index in, Index out) {
  constexpr int kFirstMajor = 8;  // sm_80
  return rows > 0 && in > 0 && out > 0 && rows * in <= cuda::most_own_work() / out &&
         cuda::packed<bf16>(matrices, {in, out}) && cuda::open().major >= kFirstMajor;
}

// f(integral_constant of m, warps of a block): large tiles where those of a result keep all
// multiprocessors at work, else small ones. `blocks` says how many there are.
template <class Blocks, class F>
void with_tile(const Blocks& blocks, const F& f) {
  constexpr int kLargeWarps = kMostWarps, kSmallWarps = kMostWarps / 2;
  if (blocks(2, kLargeWarps) >= cuda::open().multiprocessors) {
    f(std::integral_constant<int, 2>{}, kLargeWarps);
  } else {
    f(std::integral_constant<int, 1>{}, kSmallWarps);
  }
}

// Each returns whether it did the work, which is of bf16 alone.
template <class Args>
bool forward(const Args&) {
  return false;
}
template <class Args, class... More>
bool backward(const Args&, const More&...) {
  return false;
}

inline bool forward(const LinearForward<bf16>& a) {
  if (!takes({a.x, a.w, a.b, a.z, a.y}, a.rows, a.in, a.out)) return false;
  const auto blocks = [&](int m, int warps) { return Tiles(a.rows, a.out, m, warps).count; };
  with_tile(blocks, [&](auto m, int warps) {
    const Tiles tiles(a.rows, a.out, m, warps);
    POSETAPE_RUN((linear_forward_mma<m>), static_cast<unsigned>(tiles.count), warps * cuda::kWarp,
                 0,
                 Forward{a.x, a.w, a.b, a.z, a.y, a.in, static_cast<Index>(a.activation), tiles});
  });
  return true;
}

// Of rows that are summed, by the shape alone, as are the bits: enough blocks of dW for most GPUs,
// but no shorter sums.
inline Index chunk_of(Index rows, Index in, Index out) {
  constexpr Index kNumbers = Index{1} << 21;  // in 128 blocks of 128 x 128
  constexpr Index kLeast = 256;
  const Index most = kNumbers / (in * out) > 1 ? kNumbers / (in * out) : 1;
  const Index each = (rows + most - 1) / most;
  const Index chunk = each > kLeast ? each : kLeast;
  return (chunk + cuda::kDepth - 1) / cuda::kDepth * cuda::kDepth;
}

// The chunks' numbers, and the counters with which they meet, of dW's tiles.
struct Parts {
  Parts(const LinearBackward<bf16>& a, const Tiles& dw, Index of_chunk, int m, int warps)
      : chunk(of_chunk),
        chunks(cuda::chunks_of(a.rows, chunk)),
        numbers(dw.count * warps * 16 * m * kTileColumns),
        memory(chunks > 1 ? chunks * (numbers + a.out) : 0),
        counters(chunks > 1 ? cuda::take_counters(dw.count) : nullptr) {}

  Index chunk, chunks, numbers;
  cuda::Scratch<float> memory;
  unsigned* counters;
};

inline Backward arguments(const LinearBackward<bf16>& a, const bf16* dz, const Tiles& dx,
                          const Tiles& dw, const Parts& parts) {
  return {a.x,
          a.w,
          dz,
          a.dx,
          a.dw,
          a.db,
          a.z_before,
          static_cast<Index>(a.before),
          a.rows,
          a.in,
          a.out,
          dx,
          dw,
          parts.chunk,
          parts.chunks,
          parts.memory.data(),
          parts.memory.data() + parts.chunks * parts.numbers,
          parts.counters};
}

inline bool backward(const LinearBackward<bf16>& a, const bf16* dz) {
  if (!a.dx.wanted() || !a.dw.wanted()) return false;  // the library's is one launch, too
  if (!takes({a.x, a.w, dz, a.dx.data, a.dw.data, a.z_before}, a.rows, a.in, a.out)) return false;
  const Index chunk = chunk_of(a.rows, a.in, a.out);
  const auto blocks = [&](int m, int warps) {
    return Tiles(a.rows, a.in, m, warps).count +
           Tiles(a.out, a.in, m, warps).count * cuda::chunks_of(a.rows, chunk);
  };
  with_tile(blocks, [&](auto m, int warps) {
    const Tiles dx(a.rows, a.in, m, warps), dw(a.out, a.in, m, warps);
    const Parts parts(a, dw, chunk, m, warps);
    POSETAPE_RUN((linear_backward_mma<m>),
                 static_cast<unsigned>(dx.count + dw.count * parts.chunks), warps * cuda::kWarp, 0,
                 arguments(a, dz, dx, dw, parts));
  });
  return true;
}

// Several layers, in small tiles: such as a timestep's embedding has, of few rows.

inline bool forward(const LinearsForward<bf16>& a) {
  const LinearForward<bf16>& first = a.of[0];
  ForwardLayers layers{
      {first.x, first.w, first.b, nullptr, first.y, first.in, static_cast<Index>(Activation::none),
       Tiles(first.rows, first.out, 1, kMostWarps / 2)},
      {}};
  for (int i = 0; i < a.count; ++i) {
    const LinearForward<bf16>& l = a.of[i];
    if (!takes({l.x, l.w, l.b, l.y}, l.rows, l.in, l.out)) return false;
    layers.of[i] = {l.w, l.b, l.y};
  }
  POSETAPE_RUN((linears_forward_mma<1>), static_cast<unsigned>(layers.all.tiles.count * a.count),
               kMostThreads / 2, 0, layers);
  return true;
}

inline bool backward(const LinearsBackward<bf16>& a) {
  const LinearBackward<bf16>& first = a.of[0];
  constexpr int kWarps = kMostWarps / 2;
  const Tiles dx(first.rows, first.in, 1, kWarps), dw(first.out, first.in, 1, kWarps);
  const Index chunk = chunk_of(first.rows, first.in, first.out);
  if (cuda::chunks_of(first.rows, chunk) > 1) return false;
  const Parts parts(first, dw, chunk, 1, kWarps);
  BackwardLayers layers{arguments(first, first.dy, dx, dw, parts), {}, a.count};
  layers.all.dx = a.of[a.count - 1].dx;  // the first that is made
  for (int i = 0; i < a.count; ++i) {
    const LinearBackward<bf16>& l = a.of[i];
    if (!l.dx.wanted() || !l.dw.wanted() ||
        !takes({l.x, l.w, l.dy, l.dx.data, l.dw.data}, l.rows, l.in, l.out)) {
      return false;
    }
    layers.of[i] = {l.w, l.dy, l.dw, l.db};
  }
  POSETAPE_RUN((linears_backward_mma<1>), static_cast<unsigned>(dx.count + dw.count * a.count),
               kMostThreads / 2, 0, layers);
  return true;
}

}  // namespace posetape::mma_linear
