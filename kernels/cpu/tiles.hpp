// The tile registers of processors with AMX, as products of bf16 use them: eight tiles of 16 rows
// of 64 bytes. Or, with POSETAPE_TILE_MODEL, a model of them in plain C++, with which tests run the
// same code on any processor. After Intel's "Architecture Instruction Set Extensions Programming
// Reference", chapter 3. Without tiles, but with products of bf16 (AVX512_BF16), the same products
// of blocks on vectors.
#pragma once

#if defined(__AMX_BF16__) || defined(POSETAPE_TILE_MODEL)
#define POSETAPE_TILES
#endif
#if defined(POSETAPE_TILES) || defined(__AVX512BF16__)
#define POSETAPE_BLOCKS  // else nothing is here

#include <algorithm>
#include <cstdint>
#include <cstring>

#ifdef POSETAPE_TILE_MODEL
#include <cmath>
#else
#include <immintrin.h>
#endif

#include "kernels/base/scalar.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

static constexpr Index kTileHeight = 16;  // rows
static constexpr Index kTileFloats = 16;  // of a row of sums
static constexpr Index kTileInner = 32;   // bf16 of a row of A, and twice the rows of B
static constexpr Index kTileBytesOfRow = 64;
static constexpr Index kSide = 32;  // rows and columns of a block of sums

#if defined(POSETAPE_TILE_MODEL)

struct TileRegisters {
  std::uint8_t rows[8][kTileHeight][kTileBytesOfRow];
};
static thread_local TileRegisters tile_registers;

// The hardware takes subnormal numbers for zero, and makes none.
static inline float tile_flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x;
}

template <int t>
static void tile_zero() {
  std::memset(tile_registers.rows[t], 0, sizeof tile_registers.rows[t]);
}
template <int t>
static void tile_load(const void* from, Index stride_bytes) {
  for (Index r = 0; r < kTileHeight; ++r) {
    std::memcpy(tile_registers.rows[t][r], static_cast<const char*>(from) + r * stride_bytes,
                kTileBytesOfRow);
  }
}
template <int t>
static void tile_store(void* to, Index stride_bytes) {
  for (Index r = 0; r < kTileHeight; ++r) {
    std::memcpy(static_cast<char*>(to) + r * stride_bytes, tile_registers.rows[t][r],
                kTileBytesOfRow);
  }
}
// TDPBF16PS: sums over even and over odd places, each from zero by multiply-adds, then both.
template <int c, int a, int b>
static void tile_multiply() {
  const auto pair = [](const std::uint8_t* row, Index i) {
    std::uint16_t bits[2];
    std::memcpy(bits, row + 4 * i, sizeof bits);
    const auto number = [](std::uint16_t half) {
      return tile_flushed(std::bit_cast<float>(std::uint32_t{half} << 16));
    };
    struct {
      float even, odd;
    } values{number(bits[0]), number(bits[1])};
    return values;
  };
  for (Index m = 0; m < kTileHeight; ++m) {
    for (Index n = 0; n < kTileFloats; ++n) {
      float even = 0, odd = 0;
      for (Index k = 0; k < kTileInner / 2; ++k) {
        const auto x = pair(tile_registers.rows[a][m], k);
        const auto y = pair(tile_registers.rows[b][k], n);
        even = tile_flushed(std::fma(x.even, y.even, even));
        odd = tile_flushed(std::fma(x.odd, y.odd, odd));
      }
      float sum;
      std::uint8_t* at = tile_registers.rows[c][m] + 4 * n;
      std::memcpy(&sum, at, sizeof sum);
      sum = tile_flushed(tile_flushed(sum) + tile_flushed(even + odd));
      std::memcpy(at, &sum, sizeof sum);
    }
  }
}

static inline void tiles_read(const void*) {}

// While one of these is there, the thread's tiles can be used.
struct TilesInUse {
  [[gnu::always_inline]] TilesInUse() {
    std::memset(&tile_registers, 0xff, sizeof tile_registers);
  }  // NaN
};

#elif defined(POSETAPE_TILES)

// g++ 12 does not tell the optimiser that its intrinsics read memory, or how much of it, so that
// what was stored there just before is never stored (findings/gcc12_amx_intrinsics.sh). This does.
[[gnu::always_inline]] static inline void tiles_read(const void* memory) {
  __asm__ volatile("" : : "r"(memory) : "memory");
}

// The intrinsics take a tile's number as it is written.
template <int t>
static void tile_zero();
template <int t>
static void tile_load(const void* from, Index stride_bytes);
template <int t>
static void tile_store(void* to, Index stride_bytes);
template <int c, int a, int b>
static void tile_multiply();
#define POSETAPE_TILE(t)                                                           \
  template <>                                                                      \
  [[gnu::always_inline]] inline void tile_zero<t>() {                              \
    _tile_zero(t);                                                                 \
  }                                                                                \
  template <>                                                                      \
  [[gnu::always_inline]] inline void tile_load<t>(const void* from, Index bytes) { \
    _tile_loadd(t, from, bytes);                                                   \
  }                                                                                \
  template <>                                                                      \
  [[gnu::always_inline]] inline void tile_store<t>(void* to, Index bytes) {        \
    _tile_stored(t, to, bytes);                                                    \
  }
POSETAPE_TILE(0)
POSETAPE_TILE(1)
POSETAPE_TILE(2)
POSETAPE_TILE(3)
POSETAPE_TILE(4)
POSETAPE_TILE(5)
POSETAPE_TILE(6)
POSETAPE_TILE(7)
#undef POSETAPE_TILE
#define POSETAPE_TILE_MULTIPLY(c, a, b)                         \
  template <>                                                   \
  [[gnu::always_inline]] inline void tile_multiply<c, a, b>() { \
    _tile_dpbf16ps(c, a, b);                                    \
  }
POSETAPE_TILE_MULTIPLY(0, 4, 6)
POSETAPE_TILE_MULTIPLY(1, 4, 7)
POSETAPE_TILE_MULTIPLY(2, 5, 6)
POSETAPE_TILE_MULTIPLY(3, 5, 7)
#undef POSETAPE_TILE_MULTIPLY

// While one of these is there, the thread's tiles can be used. Tiles that are not in use cost
// nothing when the system changes from thread to thread.
class TilesInUse {
 public:
  [[gnu::always_inline]] TilesInUse() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {};
      std::uint8_t rows[16] = {};
    } config;
    static_assert(sizeof config == 64);
    for (int t = 0; t < 8; ++t) {
      config.row_bytes[t] = kTileBytesOfRow;
      config.rows[t] = kTileHeight;
    }
    tiles_read(&config);
    _tile_loadconfig(&config);
  }
  [[gnu::always_inline]] ~TilesInUse() { _tile_release(); }
  TilesInUse(const TilesInUse&) = delete;
  TilesInUse& operator=(const TilesInUse&) = delete;
};

#endif

// Rows of A in tiles, from the first one on: where they lie, `row` bf16 after each other, or
// packed, a tile after the other.
struct TilesOfRows {
  const bf16* data;
  Index row;    // from a row to the next
  Index below;  // from a tile to the one below
  Index along;  // from a tile to the next along k

  static TilesOfRows in_place(const bf16* a, Index stride) {
    return {a, stride, kTileHeight * stride, kTileInner};
  }
  static TilesOfRows packed(const bf16* a, Index inner) {
    return {a, kTileInner, kTileHeight * inner, kTileHeight * kTileInner};
  }
};

// A packed B: pairs along k, so many words from a row to the next.
struct RowsOfPairs {
  const std::uint32_t* data;
  Index row;
};
struct RowsOfSums {
  float* data;
  Index row;
};

// sums = A B, or that added to them: of 32 rows, or 16 without `lower`, and 32 columns, or 16
// without `right`. `inner`, of k, is a multiple of kInnerStep.
#ifdef POSETAPE_TILES
static constexpr Index kInnerStep = kTileInner;

struct Nothing {
  void operator()(Index) const {}
};

// Calls beside(k) at each step along k: what it does is computed while the tiles multiply.
template <bool lower = true, bool right = true, class Beside = Nothing>
[[gnu::always_inline]] static inline void tiles_product(const TilesOfRows& a, const RowsOfPairs& b,
                                                        Index inner, const RowsOfSums& sums,
                                                        bool add = false,
                                                        const Beside& beside = {}) {
  const Index a_bytes = a.row * Index{sizeof(bf16)};
  const Index b_bytes = b.row * Index{sizeof(std::uint32_t)};
  const Index sum_bytes = sums.row * Index{sizeof(float)};
  float* const below = sums.data + kTileHeight * sums.row;
  tiles_read(a.data);
  tiles_read(b.data);
  if (add) {
    tile_load<0>(sums.data, sum_bytes);
    if constexpr (right) tile_load<1>(sums.data + kTileFloats, sum_bytes);
    if constexpr (lower) tile_load<2>(below, sum_bytes);
    if constexpr (lower && right) tile_load<3>(below + kTileFloats, sum_bytes);
  } else {
    tile_zero<0>();
    if constexpr (right) tile_zero<1>();
    if constexpr (lower) tile_zero<2>();
    if constexpr (lower && right) tile_zero<3>();
  }
  const bf16* at_a = a.data;
  const std::uint32_t* at_b = b.data;
  for (Index k = 0; k < inner; k += kTileInner) {
    tile_load<4>(at_a, a_bytes);
    tile_load<6>(at_b, b_bytes);
    tile_multiply<0, 4, 6>();
    if constexpr (right) {
      tile_load<7>(at_b + kTileFloats, b_bytes);
      tile_multiply<1, 4, 7>();
    }
    if constexpr (lower) {
      tile_load<5>(at_a + a.below, a_bytes);
      tile_multiply<2, 5, 6>();
    }
    if constexpr (lower && right) tile_multiply<3, 5, 7>();
    beside(k);
    at_a += a.along;
    at_b += kTileInner / 2 * b.row;
  }
  tile_store<0>(sums.data, sum_bytes);
  if constexpr (right) tile_store<1>(sums.data + kTileFloats, sum_bytes);
  if constexpr (lower) tile_store<2>(below, sum_bytes);
  if constexpr (lower && right) tile_store<3>(below + kTileFloats, sum_bytes);
}
#else
static constexpr Index kInnerStep = 2;

struct TilesInUse {
  TilesInUse() {}  // not trivial, so that it is no unused variable
};

template <bool lower = true, bool right = true>
static void tiles_product(const TilesOfRows& a, const RowsOfPairs& b, Index inner,
                          const RowsOfSums& sums, bool add = false) {
  constexpr Index kRows = 8;  // whose sums are in registers
  constexpr Index kVectors = right ? 2 : 1;
  using V = Vector<float>;
  for (Index first = 0; first < (lower ? 2 : 1) * kTileHeight; first += kRows) {
    const bf16* row = a.data + first / kTileHeight * a.below + first % kTileHeight * a.row;
    float* const to = sums.data + first * sums.row;
    V c[kRows][kVectors] = {};
    for (Index r = 0; add && r < kRows; ++r) {
      for (Index v = 0; v < kVectors; ++v) c[r][v] = read<V>(to + r * sums.row + v * kTileFloats);
    }
    const std::uint32_t* pairs = b.data;
    for (Index k = 0; k < inner; k += kTileInner, row += a.along) {
      for (Index x = 0; x < std::min(kTileInner, inner - k); x += 2, pairs += b.row) {
        Vector<std::uint32_t> bk[kVectors];
        for (Index v = 0; v < kVectors; ++v) {
          bk[v] = read<Vector<std::uint32_t>>(pairs + v * kTileFloats);
        }
#pragma GCC unroll 8
        for (Index r = 0; r < kRows; ++r) {
          const auto ak = read<std::uint32_t>(row + r * a.row + x);
#pragma GCC unroll 2
          for (Index v = 0; v < kVectors; ++v) multiply_add(c[r][v], ak, bk[v]);
        }
      }
    }
#pragma GCC unroll 8
    for (Index r = 0; r < kRows; ++r) {
      for (Index v = 0; v < kVectors; ++v) write(to + r * sums.row + v * kTileFloats, c[r][v]);
    }
  }
}
#endif

}  // namespace posetape

#endif
