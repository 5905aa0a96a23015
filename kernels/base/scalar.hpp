// The scalar types a kernel is written for: storage type and the type it computes in.
// Functions are constexpr so that nvcc lets device code call them.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Before a function that CPU and CUDA kernels share. It is always inlined, since each device and
// each instruction set compiles its own.
#ifdef __CUDACC__
#define POSETAPE_FUNCTION __host__ __device__
#else
#define POSETAPE_FUNCTION [[gnu::always_inline]]
#endif

namespace posetape {

using Index = std::int64_t;

// bfloat16: the upper half of an IEEE f32. A storage type: arithmetic happens in f32.
struct bf16 {
  std::uint16_t bits = 0;

  constexpr bf16() = default;
  // Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
  explicit constexpr bf16(float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const auto rounded = static_cast<std::uint16_t>((word + 0x7FFFu + ((word >> 16) & 1u)) >> 16);
    const auto quiet = static_cast<std::uint16_t>((word >> 16) | 0x40u);
    bits = (word & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded;
  }
  explicit constexpr operator float() const {
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
  }
};

// The type a kernel computes in: bf16 -> f32, f32 -> f32, f64 -> f64.
template <class T>
struct AccumulatorOf {
  using type = T;
};
template <>
struct AccumulatorOf<bf16> {
  using type = float;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

// The type in which long sums are added up: f64 for every real type, so that a mean over millions
// of elements keeps its digits.
template <class T>
struct LongSumOf {
  using type = double;
};
template <class T>
using LongSum = typename LongSumOf<T>::type;

// Reads a stored value in its accumulator type, and back.
template <class T>
constexpr Accumulator<T> load(T value) {
  return static_cast<Accumulator<T>>(value);
}
template <class T>
constexpr T store(Accumulator<T> value) {
  return static_cast<T>(value);
}

// Where a gradient goes: `write` overwrites what is there, `add` accumulates onto it.
// The engine decides, kernels obey. A null pointer means that the gradient is not wanted. As wide
// as the pointer: arguments of CUDA kernels have no padding, where the emulation would take what
// lies there for addresses.
enum class Into : std::int64_t { write, add };

template <class T>
struct GradientOut {
  T* data = nullptr;
  Into into = Into::write;

  constexpr bool wanted() const { return data != nullptr; }
  constexpr void put(Index i, Accumulator<T> value) const {
    data[i] = store<T>(into == Into::add ? load(data[i]) + value : value);
  }
};

}  // namespace posetape
