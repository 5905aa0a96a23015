// CUDA's device functions that C does not have. A GPU's fast ones (__expf and the like) are less
// exact: CUDA C++ Programming Guide, "Mathematical Functions", gives the bounds.
#pragma once

#include <cmath>

namespace posetape::emulation {

inline float rsqrt_f32(float x) {
  return 1.0f / std::sqrt(x);
}
inline double rsqrt_f64(double x) {
  return 1.0 / std::sqrt(x);
}
inline float exp_f32(float x) {
  return std::exp(x);
}
inline float exp10_f32(float x) {
  return std::pow(10.0f, x);
}
inline float log_f32(float x) {
  return std::log(x);
}
inline float log2_f32(float x) {
  return std::log2(x);
}
inline float sin_f32(float x) {
  return std::sin(x);
}
inline float cos_f32(float x) {
  return std::cos(x);
}
inline float pow_f32(float x, float y) {
  return std::pow(x, y);
}
inline void sincos_f32(float x, float* sine, float* cosine) {
  *sine = std::sin(x);
  *cosine = std::cos(x);
}

}  // namespace posetape::emulation

// glibc declares some of these names for itself, so that they cannot be functions.
#define rsqrtf(x) ::posetape::emulation::rsqrt_f32(x)
#define rsqrt(x) ::posetape::emulation::rsqrt_f64(x)
#define __expf(x) ::posetape::emulation::exp_f32(x)
#define __exp10f(x) ::posetape::emulation::exp10_f32(x)
#define __logf(x) ::posetape::emulation::log_f32(x)
#define __log2f(x) ::posetape::emulation::log2_f32(x)
#define __sinf(x) ::posetape::emulation::sin_f32(x)
#define __cosf(x) ::posetape::emulation::cos_f32(x)
#define __powf(x, y) ::posetape::emulation::pow_f32(x, y)
#define __sincosf(x, s, c) ::posetape::emulation::sincos_f32(x, s, c)

// CUDA has these for every pair of numbers; here both are of one type.
template <class T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}

inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline double __fma_rn(double a, double b, double c) {
  return std::fma(a, b, c);
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __frcp_rn(float x) {
  return 1.0f / x;
}
inline float __fsqrt_rn(float x) {
  return std::sqrt(x);
}
inline float __frsqrt_rn(float x) {
  return static_cast<float>(1.0 / std::sqrt(double{x}));
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline float __int_as_float(int bits) {
  return __builtin_bit_cast(float, bits);
}
inline int __float_as_int(float value) {
  return __builtin_bit_cast(int, value);
}
inline float __uint_as_float(unsigned bits) {
  return __builtin_bit_cast(float, bits);
}
inline unsigned __float_as_uint(float value) {
  return __builtin_bit_cast(unsigned, value);
}
