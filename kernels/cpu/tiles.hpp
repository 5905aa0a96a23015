// The tile registers of processors with AMX, as products of bf16 use them: eight tiles of 16 rows
// of 64 bytes. Or, with POSETAPE_TILE_MODEL, a model of them in plain C++, with which tests run the
// same code on any processor. After Intel's "Architecture Instruction Set Extensions Programming
// Reference", chapter 3.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef POSETAPE_TILE_MODEL
#include <cmath>
#else
#include <immintrin.h>
#endif

#include "kernels/base/scalar.hpp"

namespace posetape {

static constexpr Index kTileHeight = 16;  // rows
static constexpr Index kTileFloats = 16;  // of a row of sums
static constexpr Index kTileInner = 32;   // bf16 of a row of A, and twice the rows of B
static constexpr Index kTileBytesOfRow = 64;

#ifdef POSETAPE_TILE_MODEL

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

#else

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

// sums[32][32] = A B, for 32 rows of A from `a` on, a row `a_stride` bf16 after the other, and a
// packed strip of B: pairs along k of 32 columns. Both have `inner` of k, a multiple of kTileInner,
// zeros beyond their end.
static void tiles_product(const bf16* a, Index a_stride, const std::uint32_t* b, Index inner,
                          float* sums) {
  constexpr Index kColumns = 2 * kTileFloats;
  const Index a_bytes = a_stride * Index{sizeof(bf16)};
  constexpr Index kStripBytes = kColumns * Index{sizeof(std::uint32_t)};
  tiles_read(a);
  tiles_read(b);
  tile_zero<0>();
  tile_zero<1>();
  tile_zero<2>();
  tile_zero<3>();
  for (Index k = 0; k < inner; k += kTileInner) {
    const std::uint32_t* strip = b + k / 2 * kColumns;
    tile_load<4>(a + k, a_bytes);
    tile_load<6>(strip, kStripBytes);
    tile_load<7>(strip + kTileFloats, kStripBytes);
    tile_multiply<0, 4, 6>();
    tile_multiply<1, 4, 7>();
    tile_load<5>(a + k + kTileHeight * a_stride, a_bytes);
    tile_multiply<2, 5, 6>();
    tile_multiply<3, 5, 7>();
  }
  constexpr Index kSumBytes = kColumns * Index{sizeof(float)};
  tile_store<0>(sums, kSumBytes);
  tile_store<1>(sums + kTileFloats, kSumBytes);
  tile_store<2>(sums + kTileHeight * kColumns, kSumBytes);
  tile_store<3>(sums + kTileHeight * kColumns + kTileFloats, kSumBytes);
}

}  // namespace posetape
