// General matrix product on the CPU, compiled with the kernels that use it, once for each
// instruction set (kernels/cpu/kernel.hpp).
//
// After Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (TOMS 2008): B
// is packed into strips of a few columns and A, block by block, into strips of a few rows; C is
// computed tile by tile, and a tile stays in registers while the inner dimension passes by.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/base/parallel.hpp"
#include "kernels/base/scalar.hpp"
#include "kernels/cpu/tiles.hpp"
#include "kernels/cpu/vector.hpp"

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

// Most rows and columns of A at a time: they, and a strip of B, fit into a cache of 512 KiB.
static constexpr Index kBlockRows = 8 * kTileRows;
static constexpr Index kBlockInner = 512;

static inline Index strips(Index n, Index width) {
  return (n + width - 1) / width;
}

// What operands are packed into: numbers of the type that products are in, or, where the processor
// multiplies bf16 by itself, pairs of them that are neighbours along k.
#if defined(__AVX512BF16__) || defined(POSETAPE_TILES)
template <class T>
using Packed = std::conditional_t<std::is_same_v<T, bf16>, Bf16Pair, Accumulator<T>>;
#else
template <class T>
using Packed = Accumulator<T>;
#endif

// Numbers along k in one packed element.
template <class T>
static constexpr Index kGroup = std::is_same_v<Packed<T>, std::uint32_t> ? 2 : 1;

// The packed element at x, whose numbers are k_step apart; the last may be beyond the end.
template <class T>
[[gnu::always_inline]] static inline Packed<T> packed(const T* x, Index k_step, bool whole) {
  if constexpr (kGroup<T> == 1) {
    return load(*x);
  } else {
    const std::uint32_t second = whole ? x[k_step].bits : 0u;
    return x->bits | second << 16;
  }
}

// out[k / group][i] = x[k k_step + i i_step] for i < count, and zero up to `width`. One of the
// steps is 1.
template <Index width, class T>
static void pack(const T* x, Index k_step, Index i_step, Index inner, Index count, Packed<T>* out) {
  constexpr Index kStep = kGroup<T>;
  const auto element = [&](Index k, Index i, bool whole) {
    out[k / kStep * width + i] = packed(x + k * k_step + i * i_step, k_step, whole);
  };
  const auto zeros = [&](Index k) {
    for (Index i = count; i < width; ++i) out[k / kStep * width + i] = Packed<T>(0);
  };
  const Index whole = inner / kStep * kStep;
  constexpr Index kAhead = 16;  // rows that lie apart are not seen coming by the processor
  if (i_step == 1 && count == width) {
    for (Index k = 0; k < whole; k += kStep) {
      for (Index next = k; next < k + kStep; ++next) prefetch(x + (next + kAhead) * k_step, width);
      if constexpr (std::is_same_v<T, Packed<T>>) {
        __builtin_memcpy(static_cast<void*>(out + k * width), x + k * k_step, width * sizeof(T));
      } else {
#pragma GCC unroll 32
        for (Index i = 0; i < width; ++i) element(k, i, true);
      }
    }
  } else if (i_step == 1) {
    for (Index k = 0; k < whole; k += kStep) {
      for (Index i = 0; i < count; ++i) element(k, i, true);
      zeros(k);
    }
  } else {
    Index transposed = 0;  // as far as rows are packed by blocks
    if constexpr (sizeof(T) * kStep == 4) {
      constexpr Index kRun = kSquare * kStep;
      transposed = whole / kRun * kRun;
      Index i = 0;
      for (; i + kSquare <= count; i += kSquare) {
        for (Index k = 0; k < transposed; k += kRun) {
          transpose_block(x + k + i * i_step, i_step, out + k / kStep * width + i, width);
        }
      }
      for (; i + 4 <= count; i += 4) {
        for (Index k = 0; k < transposed; k += 4 * kStep) {
          transpose_4x4(x + k + i * i_step, i_step, out + k / kStep * width + i, width);
        }
      }
      for (; i < count; ++i) {
        for (Index k = 0; k < transposed; k += kStep) element(k, i, true);
      }
    }
    for (Index i = 0; i < count; ++i) {
      for (Index k = transposed; k < whole; k += kStep) element(k, i, true);
    }
    for (Index k = 0; k < whole; k += kStep) zeros(k);
  }
  if (whole == inner) return;
  for (Index i = 0; i < count; ++i) element(whole, i, false);
  zeros(whole);
}

#ifdef POSETAPE_TILES
// Tiles of A as the product uses it, from `a` on, `count` rows of `inner` numbers, with zeros up to
// `rows` and `width`: out[row / 16][k / 32][16][32].
static void pack_tiles(const Matrix<bf16>& a, Index count, Index inner, Index width, Index rows,
                       bf16* out) {
  constexpr Index kTile = kTileHeight * kTileInner;
  const auto tile_at = [&](Index i, Index k) {
    return out + i / kTileHeight * kTileHeight * width + k / kTileInner * kTile;
  };
  const auto element = [&](Index i, Index k) {
    const bool t = a.transpose == Transpose::yes;
    return i < count && k < inner ? a.data[t ? k * a.stride + i : i * a.stride + k] : bf16();
  };
  const auto pack_tile = [&](Index i, Index k) {
    bf16* to = tile_at(i, k);
    if (i + kTileHeight > count || k + kTileInner > inner) {
      for (Index r = 0; r < kTileHeight; ++r) {
        for (Index x = 0; x < kTileInner; ++x) to[r * kTileInner + x] = element(i + r, k + x);
      }
    } else if (a.transpose == Transpose::no) {
      for (Index r = 0; r < kTileHeight; ++r) {
        std::copy_n(a.data + (i + r) * a.stride + k, kTileInner, to + r * kTileInner);
      }
    } else {
      Bf16Pair pairs[kTile / 2];  // along k, of a row in each column
      for (Index p = 0; p < kTileInner / 2; ++p) {
        const bf16* even = a.data + (k + 2 * p) * a.stride + i;
        for (Index x = 0; x < kTileHeight; ++x) {
          pairs[p * kTileHeight + x] = even[x].bits | std::uint32_t{even[a.stride + x].bits} << 16;
        }
      }
      for (Index p = 0; p < kTileInner / 2; p += kSquare) {
        for (Index x = 0; x < kTileHeight; x += kSquare) {
          transpose_block(pairs + p * kTileHeight + x, kTileHeight, to + x * kTileInner + 2 * p,
                          kTileInner);
        }
      }
    }
  };
  // In the order in which A lies.
  if (a.transpose == Transpose::no) {
    for (Index i = 0; i < rows; i += kTileHeight) {
      for (Index k = 0; k < width; k += kTileInner) pack_tile(i, k);
    }
  } else {
    for (Index k = 0; k < width; k += kTileInner) {
      for (Index i = 0; i < rows; i += kTileHeight) pack_tile(i, k);
    }
  }
}
#endif

// The rows of a tile in a packed strip, at one k after the other.
template <class T>
struct PackedRows {
  const Packed<T>* at;

  Packed<T> operator[](Index row) const { return at[row]; }
  void next() { at += kTileRows; }
  void ask(Index) const {}
};

// The same where they lie in A, which saves packing. A pointer for every three rows is what
// addresses of x86-64 reach.
template <class T>
struct RowsInPlace {
  const T* at[kTileRows / 3];
  Index stride;

  RowsInPlace(const T* a, Index stride_) : stride(stride_) {
    for (Index i = 0; i < kTileRows / 3; ++i) at[i] = a + 3 * i * stride;
  }
  Packed<T> operator[](Index row) const { return read<Packed<T>>(at[row / 3] + row % 3 * stride); }
  void next() {
    for (const T*& p : at) p += kGroup<T>;
  }
  // For a row of the next tile, another one at each step.
  [[gnu::always_inline]] void ask(Index k) const {
    constexpr Index kLine = 16;
    __builtin_prefetch(at[0] + (kTileRows + k % kLine) * stride);
  }
};

// The same of a transposed A, whose rows lie along k.
template <class T>
struct ColumnsInPlace {
  const T* at;
  Index stride;

  T operator[](Index row) const { return at[row]; }
  void next() { at += stride; }
  void ask(Index) const { __builtin_prefetch(at + 16 * stride); }
};

// The product of some rows of A and a packed strip of B. Calls finish(row, left, right) with the
// two vectors of each of its rows.
template <class T, class Rows, class F>
[[gnu::always_inline]] static inline void tile(Index groups, Rows a, const Packed<T>* b,
                                               const F& finish) {
  using A = Accumulator<T>;
  using B = Vector<Packed<T>>;
  Vector<A> c[kTileRows][2] = {};
  for (Index k = 0; k < groups; ++k) {
    __builtin_prefetch(b + 16 * kTileColumns<A>);
    __builtin_prefetch(b + 16 * kTileColumns<A> + kLanes<A>);
    a.ask(k);
    const B b0 = read<B>(b);
    const B b1 = read<B>(b + kLanes<A>);
#pragma GCC unroll 16
    for (Index r = 0; r < kTileRows; ++r) {
      multiply_add(c[r][0], a[r], b0);
      multiply_add(c[r][1], a[r], b1);
    }
    a.next();
    b += kTileColumns<A>;
  }
#pragma GCC unroll 16
  for (Index r = 0; r < kTileRows; ++r) finish(r, c[r][0], c[r][1]);
}

// The same into sums[kTileRows][kTileColumns].
template <class T, class Rows>
[[gnu::noinline]] static void tile_sums(Index groups, Rows a, const Packed<T>* b,
                                        Accumulator<T>* sums) {
  using A = Accumulator<T>;
  tile<T>(groups, a, b, [&](Index r, const Vector<A>& left, const Vector<A>& right) {
    write(sums + r * kTileColumns<A>, left);
    write(sums + r * kTileColumns<A> + kLanes<A>, right);
  });
}

// The same given to `out` as it is, where that takes vectors.
template <class T, class Rows, class Out>
[[gnu::noinline]] static void tile_out(Index groups, Rows a, const Packed<T>* b, Index i, Index j,
                                       const Out& out) {
  using A = Accumulator<T>;
  tile<T>(groups, a, b, [&](Index r, const Vector<A>& left, const Vector<A>& right) {
    out.put_vector(i + r, j, left);
    out.put_vector(i + r, j + kLanes<A>, right);
  });
}

// Where a product goes: what gemm() takes as `out`. Its functions get the sums of C[i][j ... j +
// count); `count` is a constant where a whole tile's row is meant, so that loops are unrolled.
//   put      once for each element, with its sum
// or, where the sum is made of several blocks along k,
//   begin    the value that the blocks are added to
//   end      with the sum, `begin` in it
//
//   expect   says that C[i][j ... j + count) is put soon, as far as it is there
//
// and optionally put_vector(i, j, sums) for C[i][j ...], a vector of sums, in place of put.
template <class T>
struct Result {
  T* c;
  Index stride;
  Into into;

  [[gnu::always_inline]] void expect(Index i, Index j, Index count) const {
    prefetch_to_write(c + i * stride + j, count);
  }
  template <class Count>
  void put(Index i, Index j, Count count, const Accumulator<T>* sums) const {
    T* row = c + i * stride + j;
    if (into == Into::write) return end(i, j, count, sums);
    each_vector<Accumulator<T>>(count, [&](Index x, auto v) {
      using V = decltype(v);
      store_as(row + x, load_as<V>(row + x) + read<V>(sums + x));
    });
  }
  void put_vector(Index i, Index j, Vector<Accumulator<T>> sums) const {
    put_as(c + i * stride + j, sums, into);
  }
  void begin(Index i, Index j, Index count, Accumulator<T>* sums) const {
    for (Index x = 0; x < count; ++x) {
      sums[x] = into == Into::write ? Accumulator<T>(0) : load(c[i * stride + j + x]);
    }
  }
  template <class Count>
  void end(Index i, Index j, Count count, const Accumulator<T>* sums) const {
    T* row = c + i * stride + j;
    each_vector<Accumulator<T>>(
        count, [&](Index x, auto v) { store_as(row + x, read<decltype(v)>(sums + x)); });
  }
};

// Calls f(row, count) for each row of a tile, `whole` columns wide, that lies inside of C.
template <Index whole, class F>
[[gnu::always_inline]] static inline void each_row(Index rows, Index columns, const F& f) {
  constexpr std::integral_constant<Index, whole> kWhole{};
  if (columns == kWhole) {
    for (Index r = 0; r < rows; ++r) f(r, kWhole);
  } else {
    for (Index r = 0; r < rows; ++r) f(r, columns);
  }
}

// Some rows of C, from `row` on, by the whole packed B, on one thread.
template <class T, class Out>
static void gemm_rows(Index row, Index m, Index n, Index k, const Matrix<T>& a, const Packed<T>* b,
                      const Out& out) {
  using A = Accumulator<T>;
  constexpr Index kColumns = kTileColumns<A>;
  const bool t = a.transpose == Transpose::yes;
  const Index most = std::min(k, kBlockInner * kGroup<T>);
  // Rows that are a multiple of 4 KiB apart share one set of the first cache. A transposed A is
  // walked over for each strip of columns, up to which its lines should be near each other.
  const Index row_bytes = a.stride * Index{sizeof(T)};
  const bool in_place =
      t ? std::is_same_v<T, Packed<T>> && n <= 2 * kColumns && row_bytes <= 1024
        : sizeof(T) * kGroup<T> == sizeof(Packed<T>) && k % kGroup<T> == 0 && row_bytes % 4096 != 0;
  const Index packed_from = in_place ? m / kTileRows * kTileRows : 0;
  const Index groups_most = strips(most, kGroup<T>);
  Scratch<Packed<T>> strip_a(strips(m - packed_from, kTileRows) * kTileRows * groups_most);
  // What is in the accumulator's type takes the blocks along k itself.
  constexpr bool kSumsInC = std::is_same_v<Out, Result<A>>;
  const bool blocks = most < k && !kSumsInC;
  Scratch<A> sums(blocks ? m * n : 0);
  for (Index i = 0; blocks && i < m; ++i) out.begin(row + i, 0, n, sums.data() + i * n);
  alignas(64) A part_sums[kTileRows * kColumns];  // a vector on two lines is slow to come back
  for (Index first = 0; first < k; first += most) {
    const Index inner = std::min(most, k - first);
    const Index groups = strips(inner, kGroup<T>);
    Out to_c = out;
    if constexpr (kSumsInC) to_c.into = first > 0 ? Into::add : out.into;
    // In the order in which A lies: columns by pieces along k.
    const Index piece = t ? Index{32} : inner;
    for (Index x = 0; x < inner; x += piece) {
      for (Index i = packed_from; i < m; i += kTileRows) {
        pack<kTileRows>(part(a, row + i, first + x).data, t ? a.stride : 1, t ? 1 : a.stride,
                        std::min(piece, inner - x), std::min(kTileRows, m - i),
                        strip_a.data() + (i - packed_from) * groups + x / kGroup<T> * kTileRows);
      }
    }
    for (Index j = 0; j < n; j += kColumns) {
      const Packed<T>* strip = b + j * strips(k, kGroup<T>) + first / kGroup<T> * kColumns;
      const Index columns = std::min(kColumns, n - j);
      for (Index i = 0; i < m; i += kTileRows) {
        if (!blocks) {
          for (Index r = 0; r < kTileRows; ++r) out.expect(row + i + r, j, kColumns);
        }
        const auto compute = [&](auto rows) {
          if constexpr (requires { out.put_vector(i, j, Vector<A>()); }) {
            if (!blocks && columns == kColumns && i + kTileRows <= m) {
              tile_out<T>(groups, rows, strip, row + i, j, to_c);
              return true;
            }
          }
          tile_sums<T>(groups, rows, strip, part_sums);
          return false;
        };
        if (i >= packed_from) {
          if (compute(PackedRows<T>{strip_a.data() + (i - packed_from) * groups})) continue;
        } else if (t) {
          if constexpr (std::is_same_v<T, Packed<T>>) {
            if (compute(ColumnsInPlace<T>{part(a, row + i, first).data, a.stride})) continue;
          }
        } else if constexpr (sizeof(T) * kGroup<T> == sizeof(Packed<T>)) {
          if (compute(RowsInPlace<T>(part(a, row + i, first).data, a.stride))) continue;
        }
        each_row<kColumns>(std::min(kTileRows, m - i), columns, [&](Index r, auto count) {
          const A* from = part_sums + r * kColumns;
          if (!blocks) return to_c.put(row + i + r, j, count, from);
          A* to = sums.data() + (i + r) * n + j;
          for (Index x = 0; x < count; ++x) to[x] += from[x];
        });
      }
    }
  }
  for (Index i = 0; blocks && i < m; ++i) out.end(row + i, 0, n, sums.data() + i * n);
}

#ifdef POSETAPE_TILES
static constexpr Index kBlock = kSide * kSide;

// Pairs of B as the product uses it, from `b` on, `inner` rows of n numbers, with zeros up to
// `rows`, in strips of 32 columns: out[column / 32][row / 2][32], `strip` from one to the next.
static void pack_strips(const Matrix<bf16>& b, Index inner, Index n, Index rows, Index strip,
                        Bf16Pair* out) {
  const bool t = b.transpose == Transpose::yes;
  for (Index j = 0; j < n; j += kSide, out += strip) {
    pack<kSide>(part(b, 0, j).data, t ? 1 : b.stride, t ? b.stride : 1, inner,
                std::min(kSide, n - j), out);
    std::fill(out + strips(inner, 2) * kSide, out + rows / 2 * kSide, Bf16Pair(0));
  }
}

// What is put into C at once.
template <class Out>
static void put_block(const Out& out, Index row, Index column, Index rows, Index columns,
                      const float* sums) {
  each_row<kSide>(rows, columns,
                  [&](Index r, auto count) { out.put(row + r, column, count, sums + r * kSide); });
}

// The same on tiles, in blocks of 32 rows and columns, with strips of B that are whole along k.
template <class Out>
static void tiles_gemm(Index m, Index n, Index k, const Matrix<bf16>& a, const Matrix<bf16>& b,
                       const Out& out) {
  const Index inner = strips(k, kTileInner) * kTileInner;
  const Index strip = inner / 2 * kSide;
  Scratch<Bf16Pair> packed_b(strips(n, kSide) * strip);
  // By pieces along k, in the order in which B lies.
  constexpr Index kPiece = 64;
  parallel_for(strips(inner, kPiece), strips(16384, n * kPiece), [&](Index begin, Index end) {
    for (Index piece = begin; piece < end; ++piece) {
      const Index first = piece * kPiece;
      const Index some = std::min(kPiece, inner - first);
      pack_strips(part(b, first, 0), std::min(some, k - first), n, some, strip,
                  packed_b.data() + first / 2 * kSide);
    }
  });
  const bool in_place = a.transpose == Transpose::no && inner == k;  // for rows that are there
  const Index rows = std::clamp(strips(m, 16 * kSide) * kSide, kSide, 4 * kSide);
  // Along k as much at a time as leaves A and the strip in the second cache.
  const Index most = inner <= 1024 ? inner : 512;
  const bool blocks = most < inner;
  const Index across = strips(n, kSide);
  parallel_for(strips(m, rows), strips(65536, rows * n * k), [&](Index begin, Index end) {
    const TilesInUse tiles;
    Scratch<bf16> packed_a(kSide * most);
    Scratch<float> sums((blocks ? across : 2) * kBlock);
    // Whole blocks are put while the next one is computed, some rows at each step.
    struct {
      Index row = 0, column = 0;
      const float* sums = nullptr;
    } waiting;
    const auto put_rows = [&](const auto& block, Index first, Index last) {
      if (block.sums == nullptr) return;
      constexpr std::integral_constant<Index, kSide> kWhole{};
      for (Index r = first; r < last; ++r) {
        out.put(block.row + r, block.column, kWhole, block.sums + r * kSide);
      }
    };
    Index computed = 0;
    const Index last_row = std::min(m, end * rows);
    for (Index row = begin * rows; row < last_row; row += kSide) {
      const Index count = std::min(kSide, last_row - row);
      for (Index first = 0; first < inner; first += most) {
        const Index some = std::min(most, inner - first);
        TilesOfRows rows_a = TilesOfRows::in_place(part(a, row, first).data, a.stride);
        if (!in_place || count < kSide) {
          pack_tiles(part(a, row, first), count, std::min(some, k - first), some, kSide,
                     packed_a.data());
          rows_a = TilesOfRows::packed(packed_a.data(), some);
        }
        RowsAhead<bf16> ahead(part(a, row + kSide, first).data, a.stride,
                              in_place ? std::min(kSide, last_row - row - count) : 0, some);
        const bool finished = first + some == inner;
        const Index rows_a_step = strips(kSide * kTileInner, some);
        const Index lines = strips(kSide, across);
        for (Index block = 0; block < across; ++block) {
          const Index column = block * kSide;
          float* to = sums.data() + (blocks ? block : computed++ % 2) * kBlock;
          const auto before = waiting;
          tiles_product(rows_a, {packed_b.data() + block * strip + first / 2 * kSide, kSide}, some,
                        {to, kSide}, first > 0, [&](Index at) {
                          const Index r = at / kTileInner * rows_a_step;
                          const Index end_r = std::min(kSide, r + rows_a_step);
                          for (Index x = r; x < end_r; ++x) out.expect(row + x, column, kSide);
                          ahead.ask(lines);
                          put_rows(before, r, end_r);
                        });
          waiting.sums = nullptr;
          if (!finished) continue;
          if (count == kSide && column + kSide <= n) {
            waiting = {row, column, to};
          } else {
            put_block(out, row, column, count, std::min(kSide, n - column), to);
          }
        }
      }
    }
    put_rows(waiting, 0, kSide);
  });
}

// The same of two operands whose rows lie along k, C = A^T B (a weight's gradient: k counts
// tokens), by pieces along k that stay in the second cache with their part of C. The shorter rows
// become tiles, which is the longer way; if those are B's, C is computed as (B^T A)^T.
template <class Out>
static void tiles_gemm_of_columns(Index m, Index n, Index k, const Matrix<bf16>& a,
                                  const Matrix<bf16>& b, const Out& out) {
  constexpr Index kMostLeft = 256, kMostRight = 512, kPiece = 256;
  const bool swapped = n < m;
  const Index lefts = swapped ? n : m, rights = swapped ? m : n;
  const Matrix<bf16> left{swapped ? b.data : a.data, swapped ? b.stride : a.stride, Transpose::yes};
  const Matrix<bf16> right{swapped ? a.data : b.data, swapped ? a.stride : b.stride, Transpose::no};
  // A part of C for each thread; where it ends changes no sum.
  const Index grain = std::max(strips(strips(rights, kSide), threads()),
                               strips(65536, std::min(lefts, kMostLeft) * kSide * k));
  for (Index l = 0; l < lefts; l += kMostLeft) {
    const Index left_count = std::min(kMostLeft, lefts - l);
    const Index down = strips(left_count, kSide);
    parallel_for(strips(rights, kSide), grain, [&](Index begin, Index end) {
      const TilesInUse tiles;
      const Index most = std::min((end - begin) * kSide, kMostRight);
      Scratch<bf16> tiles_of_left(down * kSide * kPiece);
      Scratch<Bf16Pair> pairs_of_right(most * kPiece / 2);
      Scratch<float> sums(down * kSide * most);
      const Index last = std::min(rights, end * kSide);
      for (Index r = begin * kSide; r < last; r += kMostRight) {
        const Index right_count = std::min(kMostRight, last - r);
        const Index across = strips(right_count, kSide);
        for (Index first = 0; first < k; first += kPiece) {
          const Index there = std::min(kPiece, k - first);
          const Index some = strips(there, kTileInner) * kTileInner;
          pack_tiles(part(left, l, first), left_count, there, some, down * kSide,
                     tiles_of_left.data());
          for (Index x = 0; x < some; x += kTileInner) {
            pack_strips(part(right, first + x, r), std::min(kTileInner, there - x), right_count,
                        kTileInner, some / 2 * kSide, pairs_of_right.data() + x / 2 * kSide);
          }
          const Index next = std::min(kPiece, k - first - there);
          RowsAhead<bf16> next_left(part(left, l, first + there).data, left.stride, next,
                                    left_count);
          RowsAhead<bf16> next_right(part(right, first + there, r).data, right.stride, next,
                                     right_count);
          const Index lines_left = strips(kSide, across), lines_right = strips(kSide, down);
          for (Index j = 0; j < across; ++j) {
            for (Index i = 0; i < down; ++i) {
              tiles_product(TilesOfRows::packed(tiles_of_left.data() + i * kSide * some, some),
                            {pairs_of_right.data() + j * some / 2 * kSide, kSide}, some,
                            {sums.data() + (j * down + i) * kBlock, kSide}, first > 0, [&](Index) {
                              next_left.ask(lines_left);
                              next_right.ask(lines_right);
                            });
            }
          }
        }
        for (Index j = 0; j < across; ++j) {
          for (Index i = 0; i < down; ++i) {
            float* block = sums.data() + (j * down + i) * kBlock;
            const Index row = l + i * kSide, column = r + j * kSide;
            const Index rows = std::min(kSide, lefts - row),
                        columns = std::min(kSide, last - column);
            alignas(64) float turned[kBlock];
            if (swapped) {
              transpose(block, kSide, kSide, turned);
              put_block(out, column, row, columns, rows, turned);
            } else {
              put_block(out, row, column, rows, columns, block);
            }
          }
        }
      }
    });
  }
}
#endif

// gemm() without the cut along k.
template <class T, class Out>
static void short_gemm(Index m, Index n, Index k, const Matrix<T>& a, const Matrix<T>& b,
                       const Out& out) {
#if defined(POSETAPE_TILES)
  static_assert(std::is_same_v<T, bf16>);  // which alone is built (kernels/base/dispatch.hpp)
  const bool of_columns = a.transpose == Transpose::yes && b.transpose == Transpose::no;
  of_columns ? tiles_gemm_of_columns(m, n, k, a, b, out) : tiles_gemm(m, n, k, a, b, out);
#else
  using A = Accumulator<T>;
  constexpr Index kColumns = kTileColumns<A>;
  const bool t = b.transpose == Transpose::yes;
  const Index groups = strips(k, kGroup<T>);
  Scratch<Packed<T>> packed_b(strips(n, kColumns) * kColumns * groups);
  parallel_for(strips(n, kColumns), strips(16384, kColumns * k), [&](Index begin, Index end) {
    for (Index j = begin * kColumns; j < std::min(n, end * kColumns); j += kColumns) {
      pack<kColumns>(part(b, 0, j).data, t ? 1 : b.stride, t ? b.stride : 1, k,
                     std::min(kColumns, n - j), packed_b.data() + j * groups);
    }
  });
  // Few rows become smaller pieces, so that there is one for everybody.
  const Index rows = std::clamp(strips(m, 16 * kTileRows) * kTileRows, kTileRows, kBlockRows);
  parallel_for(strips(m, rows), strips(65536, rows * n * k), [&](Index begin, Index end) {
    for (Index i = begin * rows; i < std::min(m, end * rows); i += rows) {
      gemm_rows(i, std::min(rows, m - i), n, k, a, packed_b.data(), out);
    }
  });
#endif
}

// C = A B of m rows and n columns, given to `out` (Result is the common one). A is m x k and B is
// k x n after their transposition. A k of zero gives sums of zero. Products and sums are in f32 for
// bf16. The result is bit-equal for any thread count: work is cut into pieces that depend on the
// shape alone, and each piece is computed by one thread.
template <class T, class Out>
static void gemm(Index m, Index n, Index k, const Matrix<T>& a, const Matrix<T>& b,
                 const Out& out) {
  using A = Accumulator<T>;
  if (m == 0 || n == 0) return;
  if (k == 0) {
    Scratch<A> zeros(n);
    std::fill_n(zeros.data(), n, A(0));
    for (Index i = 0; i < m; ++i) out.put(i, 0, n, zeros.data());
    return;
  }
  // Long sums over few outputs (a weight's gradient: k counts tokens) are cut along k, each piece
  // with its own output, added up in order.
  constexpr Index kPiece = 1024;
#ifdef POSETAPE_TILES
  constexpr Index kFew = Index{1} << 13;  // more fill the threads by themselves
#else
  constexpr Index kFew = Index{1} << 17;
#endif
  if (k < 2 * kPiece || m * n > kFew) return short_gemm(m, n, k, a, b, out);
  const Index pieces = std::min<Index>(16, strips(k, kPiece));
  Scratch<A> partial(pieces * m * n);
  parallel_for(pieces, 1, [&](Index first, Index last) {
    for (Index p = first; p < last; ++p) {
      const Index begin = k * p / pieces;
      const Index inner = k * (p + 1) / pieces - begin;
      short_gemm(m, n, inner, part(a, 0, begin), part(b, begin, 0),
                 Result<A>{partial.data() + p * m * n, n, Into::write});
    }
  });
  parallel_for(m, strips(16384, n), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      A* sums = partial.data() + i * n;
      for (Index p = 1; p < pieces; ++p) {
        for (Index j = 0; j < n; ++j) sums[j] += sums[p * m * n + j];
      }
      out.put(i, 0, n, sums);
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
              {b.data + i * b_step, b.stride, b.transpose},
              Result<T>{c + i * c_step, c_stride, into});
    }
  });
}

}  // namespace posetape
