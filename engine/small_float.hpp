// Floats of 8 and 16 bits that others write and this engine does not compute with, to f32, exactly.
// Sources: IEEE 754 (binary16); "FP8 Formats for Deep Learning" (arXiv 2209.05433) for E4M3 and
// E5M2; onnx.ai/onnx/technical/float8.html for those without a negative zero ("FNUZ").
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace posetape {

struct SmallFloat {
  enum class Specials {
    ieee,        // the highest exponent is infinity and NaN
    all_ones,    // all bits of exponent and fraction set is NaN, nothing is infinite
    minus_zero,  // the bits of -0 are NaN, nothing is infinite
  };
  int exponent_bits, fraction_bits, bias;
  Specials specials;

  // The value of a number in the low bits of `bits`; any NaN becomes a quiet one.
  float value(std::uint32_t bits) const {
    const std::uint32_t exponent = bits >> fraction_bits & ((1u << exponent_bits) - 1);
    const std::uint32_t fraction = bits & ((1u << fraction_bits) - 1);
    const bool negative = (bits >> (exponent_bits + fraction_bits) & 1) != 0;
    const bool highest = exponent == (1u << exponent_bits) - 1;
    const bool ones = highest && fraction == (1u << fraction_bits) - 1;
    if ((specials == Specials::ieee && highest && fraction != 0) ||
        (specials == Specials::all_ones && ones) ||
        (specials == Specials::minus_zero && negative && exponent == 0 && fraction == 0)) {
      return std::numeric_limits<float>::quiet_NaN();
    }
    float magnitude = std::numeric_limits<float>::infinity();
    if (specials != Specials::ieee || !highest) {
      const std::uint32_t leading = exponent == 0 ? 0 : 1u << fraction_bits;
      const int power = (exponent == 0 ? 1 : static_cast<int>(exponent)) - bias - fraction_bits;
      magnitude = std::ldexp(static_cast<float>(leading + fraction), power);
    }
    return negative ? -magnitude : magnitude;
  }
};

inline constexpr SmallFloat kF16{5, 10, 15, SmallFloat::Specials::ieee};
inline constexpr SmallFloat kF8E5M2{5, 2, 15, SmallFloat::Specials::ieee};
inline constexpr SmallFloat kF8E4M3{4, 3, 7, SmallFloat::Specials::all_ones};
inline constexpr SmallFloat kF8E5M2Fnuz{5, 2, 16, SmallFloat::Specials::minus_zero};
inline constexpr SmallFloat kF8E4M3Fnuz{4, 3, 8, SmallFloat::Specials::minus_zero};

}  // namespace posetape
