// Elementary functions of kernels, for every device. On the CPU the f32 ones can be vectorised:
// branch-free, by polynomials fitted for this project. f64 is the C library's, which is there to be
// right, not fast. On a GPU e^x is the device library's, which has an instruction for it.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/base/scalar.hpp"

namespace posetape {

// e^x. Relative error below 2 ULP; 0 below -87.3 (where f32 turns subnormal), infinity
// from 88.72284 on, NaN stays NaN. x = n ln 2 + r with |r| <= ln 2 / 2, and e^r = 1 + r + r^2 q(r),
// q of degree 4 (least maximum relative error, 3.1e-9).
POSETAPE_FUNCTION static inline float exp_(float x) {
#ifdef POSETAPE_CUDA_KERNELS
  return expf(x);
#else
  constexpr float kShift = 0x1.8p23f;  // adding it rounds to the nearest integer
  const float shifted = x * 1.44269504088896341f + kShift;
  const float n = shifted - kShift;
  const float r = (x - n * 0.693145751953125f) - n * 1.42860682030941723e-6f;
  float q = 0.0013814598365786707f;
  q = q * r + 0.008368716898070476f;
  q = q * r + 0.04166838805112356f;
  q = q * r + 0.16666520631511889f;
  q = q * r + 0.4999999344776765f;
  const float e = 1.0f + (r + r * r * q);
  // Times 2^n, which is added to the exponent: the low bits of `shifted` are n.
  float y = std::bit_cast<float>(std::bit_cast<std::uint32_t>(e) +
                                 (std::bit_cast<std::uint32_t>(shifted) << 23));
  y = x < -87.33654f ? 0.0f : y;
  y = x >= 88.722839f ? HUGE_VALF : y;
  return x != x ? x : y;
#endif
}
POSETAPE_FUNCTION static inline double exp_(double x) {
  return std::exp(x);
}

POSETAPE_FUNCTION static inline float log_(float x) {
  return std::log(x);
}
POSETAPE_FUNCTION static inline double log_(double x) {
  return std::log(x);
}

POSETAPE_FUNCTION static inline float sqrt_(float x) {
  return std::sqrt(x);
}
POSETAPE_FUNCTION static inline double sqrt_(double x) {
  return std::sqrt(x);
}

// x^p
POSETAPE_FUNCTION static inline float pow_(float x, double p) {
  return std::pow(x, static_cast<float>(p));
}
POSETAPE_FUNCTION static inline double pow_(double x, double p) {
  return std::pow(x, p);
}

template <class A>
POSETAPE_FUNCTION static inline A sigmoid_(A x) {
  return A(1) / (A(1) + exp_(-x));
}

// tanh by (1 - e^-2a) / (1 + e^-2a), with a series near zero where that loses digits.
POSETAPE_FUNCTION static inline float tanh_(float x) {
  const float a = std::fabs(x);
  const float e = exp_(-2.0f * a);
  const float large = (1.0f - e) / (1.0f + e);
  const float s = a * a;
  const float series =
      a *
      (1.0f + s * (-0.333333333f + s * (0.133333333f + s * (-0.0539682540f + s * 0.0218694885f))));
  return std::copysign(a < 0.25f ? series : large, x);
}
POSETAPE_FUNCTION static inline double tanh_(double x) {
  return std::tanh(x);
}

// Phi(x), the cumulative normal distribution, and phi(x), its density. With a = |x| and
// t = 1 / (1 + 0.26 a), Phi(-a) = e^(-a^2/2) P(t), P of degree 9 (fitted for a in [0, 14], maximum
// relative error 5.4e-9), so that small values in the lower tail keep their relative accuracy.
template <class A>
struct Normal {
  A cdf;
  A density;
};
POSETAPE_FUNCTION static inline Normal<float> normal_(float x) {
  const float a = std::fabs(x);
  const float t = 1.0f / (1.0f + 0.26f * a);
  float p = 0.03392565137584303f;
  p = p * t - 0.170515775831877f;
  p = p * t + 0.29097492893141225f;
  p = p * t - 0.2008010432447249f;
  p = p * t + 0.20010859172471193f;
  p = p * t + 0.031212692899203583f;
  p = p * t + 0.10947970012394861f;
  p = p * t + 0.10171586600088588f;
  p = p * t + 0.10390655422894388f;
  p = p * t - 7.163490247242757e-06f;
  const float gauss = exp_(-0.5f * x * x);
  const float tail = gauss * p;
  return {x < 0.0f ? tail : 1.0f - tail, gauss * 0.398942280401432678f};
}
POSETAPE_FUNCTION static inline Normal<double> normal_(double x) {
  return {0.5 * std::erfc(-x * 0.707106781186547524401),
          0.398942280401432677940 * std::exp(-0.5 * x * x)};
}

}  // namespace posetape
