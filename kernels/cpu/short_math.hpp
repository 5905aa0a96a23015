// Elementary functions of vectors as far as bf16 sees them: errors of some 1e-5, where rounding to
// bf16 is 2e-3.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/base/math.hpp"
#include "kernels/cpu/vector.hpp"

namespace posetape {

using Floats = Vector<float, 64>;  // 16 of them
static constexpr float kLog2E = 1.44269504088896341f;

// f of a vector, or of one number in place of it.
template <class V, class F>
[[gnu::always_inline]] static inline V as_floats(V x, const F& f) {
  if constexpr (std::is_same_v<V, float>) {
    return f(Floats{} + x)[0];
  } else {
    return f(x);
  }
}

// 2^x to 3e-6 of it.
[[gnu::always_inline]] static inline Floats power_of_two(Floats x) {
#ifdef __AVX512F__
  // g++ 12 warns of the forms without a mask, whose unused operand it leaves undefined.
  constexpr __mmask16 kAll = 0xffff;
  const auto n = (Floats)_mm512_maskz_roundscale_ps(kAll, (__m512)x, _MM_FROUND_TO_NEAREST_INT);
  const Floats r = x - n;
  Floats p = r * 0.009570100344717503f + 0.05591785907745361f;
  p = p * r + 0.240247443318367f;
  p = p * r + 0.6931217908859253f;
  p = p * r + 0.9999992847442627f;
  return (Floats)_mm512_maskz_scalef_ps(kAll, (__m512)p, (__m512)n);
#else
  for (Index l = 0; l < kLanes<float, 64>; ++l) x[l] = std::exp2(x[l]);
  return x;
#endif
}

// log2(x) of normal numbers to 3e-7, or to 1e-7 of it where that is more; infinity and NaN stay.
// With x = 2^e m, m from the root of 1/2 to that of 2, and s = (m - 1) / (m + 1): log m = 2 artanh
// s.
template <class V>
[[gnu::always_inline]] static inline V short_log2(V x) {
  using Words = Vector<std::int32_t, sizeof(V)>;
  const auto bits = (Words)x;
  const Words e = (bits - 0x3f3504f3) >> 23;
  const V m = (V)(bits - (e << 23));
  const V s = (m - 1.0f) / (m + 1.0f);
  const V square = s * s;
  V p = square * 0.412198583f + 0.577078016f;
  p = p * square + 0.961796694f;
  p = p * square + 2.88539008f;
  return x < HUGE_VALF ? __builtin_convertvector(e, V) + s * p : x;
}

// normal_() of kernels/base/math.hpp to 1.4e-5 of Phi(-|x|), and zero beyond: the same form
// with a polynomial of degree 5, fitted for |x| <= 14.
[[gnu::always_inline]] static inline Normal<Floats> short_normal(Floats x) {
  constexpr float kFar = 12.9f;  // Phi(-kFar) is the last number that is not subnormal
  const Floats magnitude = x < 0.0f ? -x : x;
  const auto far = magnitude > kFar;  // not for NaN
  const Floats a = far ? Floats{} + kFar : magnitude;
  const Floats d = 0.36f * a + 1.0f;
#ifdef __AVX512F__
  auto t = (Floats)_mm512_maskz_rcp14_ps(0xffff, (__m512)d);
  t = t * (2.0f - d * t);
#else
  const Floats t = 1.0f / d;
#endif
  Floats p = 0.2543874979019165f - 0.09851566702127457f * t;
  p = p * t + 0.03511638194322586f;
  p = p * t + 0.16869577765464783f;
  p = p * t + 0.14012406766414642f;
  p = p * t + 0.00019128956773784012f;
  const Floats near = power_of_two(a * a * (-0.5f * kLog2E));
  const Floats gauss = far ? Floats{} : near;
  const Floats tail = gauss * p;
  return {x < 0.0f ? tail : 1.0f - tail, gauss * 0.398942280401432678f};
}

}  // namespace posetape
