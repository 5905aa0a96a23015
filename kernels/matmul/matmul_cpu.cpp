#include "kernels/matmul/matmul.hpp"

#include "kernels/cpu/gemm.hpp"
#include "kernels/cpu/kernel.hpp"

namespace posetape {

// A matrix that is rows x columns in the product; its memory is the transpose of that if `stored`.
template <class T>
static inline Matrix<T> matrix(const T* data, Index rows, Index columns, bool stored) {
  return {data, stored ? rows : columns, stored ? Transpose::yes : Transpose::no};
}

// A shared B makes the batch one tall product.
static inline MatmulSizes merged(MatmulSizes s) {
  return s.shared_b ? MatmulSizes{1, s.batch * s.m, s.n, s.k, true} : s;
}

template <class T>
static void compute(const MatmulForward<T>& g) {
  const auto [batch, m, n, k, shared] = merged(g.sizes);
  batched_gemm<T>(batch, m, n, k, matrix(g.a, m, k, g.flags.transpose_a), m * k,
                  matrix(g.b, k, n, g.flags.transpose_b), k * n, g.c, n, m * n, Into::write);
}
POSETAPE_CPU_KERNEL(MatmulForward);

template <class T>
static void compute(const MatmulBackward<T>& g) {
  const auto [batch, m, n, k, shared] = merged(g.sizes);
  const bool ta = g.flags.transpose_a;
  const bool tb = g.flags.transpose_b;
  const Matrix<T> d = matrix(g.dc, m, n, false);
  const Matrix<T> d_t = matrix(g.dc, n, m, true);
  if (g.da.wanted()) {
    const Matrix<T> b = matrix(g.b, k, n, tb);
    const Matrix<T> b_t = matrix(g.b, n, k, !tb);
    if (ta) {
      batched_gemm<T>(batch, k, m, n, b, k * n, d_t, m * n, g.da.data, m, m * k, g.da.into);
    } else {
      batched_gemm<T>(batch, m, k, n, d, m * n, b_t, k * n, g.da.data, k, m * k, g.da.into);
    }
  }
  if (g.db.wanted()) {
    const Matrix<T> a = matrix(g.a, m, k, ta);
    const Matrix<T> a_t = matrix(g.a, k, m, !ta);
    if (tb) {
      batched_gemm<T>(batch, n, k, m, d_t, m * n, a, m * k, g.db.data, k, k * n, g.db.into);
    } else {
      batched_gemm<T>(batch, k, n, m, a_t, m * k, d, m * n, g.db.data, n, k * n, g.db.into);
    }
  }
}
POSETAPE_CPU_KERNEL(MatmulBackward);

template <class T>
static void compute(const ProductLimit<T>& g) {
#ifdef POSETAPE_TILES
  constexpr Index kInner = 256;  // 16 KiB of each operand
  *g.flops = 2.0 * static_cast<double>(g.pieces * g.repeats * kSide * kSide * kInner);
  parallel_for(g.pieces, 1, [&](Index begin, Index end) {
    const TilesInUse tiles;
    Scratch<bf16> a(kSide * kInner);
    Scratch<Bf16Pair> b(kSide * kInner / 2);
    std::fill_n(a.data(), kSide * kInner, bf16());
    std::fill_n(b.data(), kSide * kInner / 2, Bf16Pair(0));
    alignas(64) float sums[kSide * kSide];
    for (Index p = begin; p < end; ++p) {
      for (Index i = 0; i < g.repeats; ++i) {
        tiles_product(TilesOfRows::packed(a.data(), kInner), {b.data(), kSide}, kInner,
                      {sums, kSide});
      }
      g.sums[p] = sums[0];
    }
  });
#else
  using A = Accumulator<T>;
  constexpr Index kGroups = 128;  // along k, of a strip of 16 or 32 KiB
  constexpr Index kColumns = kTileColumns<A>;
  *g.flops =
      2.0 * static_cast<double>(g.pieces * g.repeats * kTileRows * kColumns * kGroups * kGroup<T>);
  parallel_for(g.pieces, 1, [&](Index begin, Index end) {
    Scratch<Packed<T>> a(kTileRows * kGroups);
    Scratch<Packed<T>> b(kColumns * kGroups);
    std::fill_n(a.data(), kTileRows * kGroups, Packed<T>(0));
    std::fill_n(b.data(), kColumns * kGroups, Packed<T>(0));
    alignas(64) A sums[kTileRows * kColumns];
    for (Index p = begin; p < end; ++p) {
      for (Index i = 0; i < g.repeats; ++i) {
        tile_sums<T>(kGroups, PackedRows<T>{a.data()}, b.data(), sums);
      }
      g.sums[p] = sums[0];
    }
  });
#endif
}
POSETAPE_CPU_KERNEL(ProductLimit);

}  // namespace posetape
