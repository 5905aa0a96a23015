// General matrix product on the CPU, compiled with the kernels that use it, once for each
// instruction set (kernels/cpu/kernel.hpp).
//
// After Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (TOMS 2008): B
// is packed into strips of a few columns and A, block by block, into strips of a few rows; C is
// computed tile by tile, and a tile stays in registers while the inner dimension passes by.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/vector.hpp"
#include "kernels/scalar.hpp"

namespace posetape {

enum class Transpose : bool { no = false, yes = true };

// One matrix operand: row-major with `stride` elements from row to row; `transpose` says that the
// product uses its transpose.
template <class T>
struct Matrix {
  const T* data = nullptr;
  Index stride = 0;
  Transpose transpose = Transpose::no;
};

// The rest of an operand, as the product uses it, from a row and a column on.
template <class T>
[[gnu::always_inline]] static inline Matrix<T> part(const Matrix<T>& x, Index row, Index column) {
  const bool t = x.transpose == Transpose::yes;
  return {x.data + (t ? column : row) * x.stride + (t ? row : column), x.stride, x.transpose};
}

// A tile of C is two vectors wide, and as high as leaves registers for a row of B and an element of
// A: there are 32 registers, or 16 on x86-64 before AVX-512.
#if defined(__AVX512F__) || defined(__aarch64__)
static constexpr Index kTileRows = 12;
#else
static constexpr Index kTileRows = 6;
#endif
template <class A>
static constexpr Index kTileColumns = 2 * kLanes<A>;

// Most rows and columns of A that are packed at a time: they, and a strip of B, fit into a cache of
// 512 KiB.
static constexpr Index kBlockRows = 8 * kTileRows;
static constexpr Index kBlockInner = 512;

static inline Index strips(Index n, Index width) {
  return (n + width - 1) / width;
}

// out[k][i] = x[k k_step + i i_step] for i < count, and zero up to `width`. One of the steps is 1.
template <class T, class A>
static void pack(const T* x, Index k_step, Index i_step, Index inner, Index count, Index width,
                 A* out) {
  if (i_step == 1) {
    for (Index k = 0; k < inner; ++k) {
      for (Index i = 0; i < count; ++i) out[k * width + i] = load(x[k * k_step + i]);
      for (Index i = count; i < width; ++i) out[k * width + i] = A(0);
    }
    return;
  }
  constexpr Index kRun = 16;  // of a row at a time: a cache line of it
  for (Index begin = 0; begin < inner; begin += kRun) {
    const Index end = std::min(begin + kRun, inner);
    Index i = 0;
    if constexpr (std::is_same_v<T, float>) {
      for (; end - begin == kRun && i + 4 <= count; i += 4) {
        for (Index k = begin; k < end; k += 4) {
          transpose_4x4(x + k + i * i_step, i_step, out + k * width + i, width);
        }
      }
    }
    for (; i < count; ++i) {
      for (Index k = begin; k < end; ++k) out[k * width + i] = load(x[k + i * i_step]);
    }
    for (Index k = begin; k < end; ++k) {
      for (Index rest = count; rest < width; ++rest) out[k * width + rest] = A(0);
    }
  }
}

// The product of two packed strips: sums[kTileRows][kTileColumns].
template <class A>
static void tile(Index inner, const A* a, const A* b, A* sums) {
  using V = Vector<A>;
  V c[kTileRows][2] = {};
  for (Index k = 0; k < inner; ++k) {
    const V b0 = read<V>(b);
    const V b1 = read<V>(b + kLanes<A>);
#pragma GCC unroll 16
    for (Index r = 0; r < kTileRows; ++r) {
      c[r][0] += a[r] * b0;
      c[r][1] += a[r] * b1;
    }
    a += kTileRows;
    b += kTileColumns<A>;
  }
#pragma GCC unroll 16
  for (Index r = 0; r < kTileRows; ++r) {
    write(sums + r * kTileColumns<A>, c[r][0]);
    write(sums + r * kTileColumns<A> + kLanes<A>, c[r][1]);
  }
}

// Puts the part of a tile that lies inside of C.
template <class A, class C>
static void put_tile(const A* sums, Index rows, Index columns, GradientOut<C> c, Index c_stride) {
  constexpr Index kColumns = kTileColumns<A>;
  const auto each = [&](auto whole, auto into) {
    for (Index r = 0; r < rows; ++r) {
      const GradientOut<C> row{c.data + r * c_stride, into};
      for (Index i = 0; i < (whole ? kColumns : columns); ++i) row.put(i, sums[r * kColumns + i]);
    }
  };
  // A loop for each case, so that each is vectorised.
  constexpr std::integral_constant<Into, Into::write> kWrite{};
  constexpr std::integral_constant<Into, Into::add> kAdd{};
  const bool writes = c.into == Into::write;
  if (columns == kColumns) {
    writes ? each(std::true_type{}, kWrite) : each(std::true_type{}, kAdd);
  } else {
    writes ? each(std::false_type{}, kWrite) : each(std::false_type{}, kAdd);
  }
}

// Some rows of C by the whole packed B, on one thread.
template <class T, class A, class C>
static void gemm_rows(Index m, Index n, Index k, const Matrix<T>& a, const A* b, C* c,
                      Index c_stride, Into into) {
  constexpr Index kColumns = kTileColumns<A>;
  const bool t = a.transpose == Transpose::yes;
  // A sum that is continued is rounded in between, which bf16 has no digits for.
  const Index most = std::is_same_v<A, C> ? std::min(k, kBlockInner) : k;
  Scratch<A> packed(strips(m, kTileRows) * kTileRows * most);
  A sums[kTileRows * kColumns];
  for (Index first = 0; first < k; first += most) {
    const Index inner = std::min(most, k - first);
    for (Index i = 0; i < m; i += kTileRows) {
      pack(part(a, i, first).data, t ? a.stride : 1, t ? 1 : a.stride, inner,
           std::min(kTileRows, m - i), kTileRows, packed.data() + i * inner);
    }
    for (Index j = 0; j < n; j += kColumns) {
      const A* strip = b + j * k + first * kColumns;
      for (Index i = 0; i < m; i += kTileRows) {
        tile(inner, packed.data() + i * inner, strip, sums);
        put_tile(sums, std::min(kTileRows, m - i), std::min(kColumns, n - j),
                 GradientOut<C>{c + i * c_stride + j, first == 0 ? into : Into::add}, c_stride);
      }
    }
  }
}

// gemm() without the cut along k.
template <class T, class C>
static void short_gemm(Index m, Index n, Index k, const Matrix<T>& a, const Matrix<T>& b, C* c,
                       Index c_stride, Into into) {
  using A = Accumulator<T>;
  constexpr Index kColumns = kTileColumns<A>;
  const bool t = b.transpose == Transpose::yes;
  Scratch<A> packed(strips(n, kColumns) * kColumns * k);
  parallel_for(strips(n, kColumns), strips(16384, kColumns * k), [&](Index begin, Index end) {
    for (Index j = begin * kColumns; j < std::min(n, end * kColumns); j += kColumns) {
      pack(part(b, 0, j).data, t ? 1 : b.stride, t ? b.stride : 1, k, std::min(kColumns, n - j),
           kColumns, packed.data() + j * k);
    }
  });
  // Few rows become smaller pieces, so that there is one for everybody.
  const Index rows = std::clamp(strips(m, 16 * kTileRows) * kTileRows, kTileRows, kBlockRows);
  parallel_for(strips(m, rows), strips(65536, rows * n * k), [&](Index begin, Index end) {
    for (Index i = begin * rows; i < std::min(m, end * rows); i += rows) {
      gemm_rows(std::min(rows, m - i), n, k, part(a, i, 0), packed.data(), c + i * c_stride,
                c_stride, into);
    }
  });
}

// C[m, n] = A B, or += A B; C is row-major with c_stride elements a row. A is m x k and B is k x n
// after their transposition. A k of zero gives C = 0 (or leaves C). Products and sums are in f32
// for bf16. The result is bit-equal for any thread count: work is cut into pieces that depend on
// the shape alone, and each piece is computed by one thread.
template <class T>
static void gemm(Index m, Index n, Index k, const Matrix<T>& a, const Matrix<T>& b, T* c,
                 Index c_stride, Into into) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (Index i = 0; i < m && into == Into::write; ++i) std::fill_n(c + i * c_stride, n, T(0));
    return;
  }
  // Long sums over few outputs (a weight's gradient: k counts tokens) are cut along k, each piece
  // with its own output, added up in order.
  constexpr Index kPiece = 1024;
  if (k < 2 * kPiece || m * n > (Index{1} << 17)) {
    return short_gemm(m, n, k, a, b, c, c_stride, into);
  }
  using A = Accumulator<T>;
  const Index pieces = std::min<Index>(16, strips(k, kPiece));
  Scratch<A> partial(pieces * m * n);
  parallel_for(pieces, 1, [&](Index first, Index last) {
    for (Index p = first; p < last; ++p) {
      const Index begin = k * p / pieces;
      const Index inner = k * (p + 1) / pieces - begin;
      short_gemm(m, n, inner, part(a, 0, begin), part(b, begin, 0), partial.data() + p * m * n, n,
                 Into::write);
    }
  });
  parallel_for(m, strips(16384, n), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      A* sums = partial.data() + i * n;
      for (Index p = 1; p < pieces; ++p) {
        for (Index j = 0; j < n; ++j) sums[j] += sums[p * m * n + j];
      }
      const GradientOut<T> row{c + i * c_stride, into};
      for (Index j = 0; j < n; ++j) row.put(j, sums[j]);
    }
  });
}

// The same for `count` independent products; steps in elements from one to the next. A step of zero
// shares an operand.
template <class T>
static void batched_gemm(Index count, Index m, Index n, Index k, const Matrix<T>& a, Index a_step,
                         const Matrix<T>& b, Index b_step, T* c, Index c_stride, Index c_step,
                         Into into) {
  parallel_for(count, 1, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      gemm<T>(m, n, k, {a.data + i * a_step, a.stride, a.transpose},
              {b.data + i * b_step, b.stride, b.transpose}, c + i * c_step, c_stride, into);
    }
  });
}

}  // namespace posetape
