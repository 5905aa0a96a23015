// The elementary functions of kernels/base/math.hpp for numbers that carry derivatives.
#pragma once

#include <cmath>
#include <complex>

#include "kernels/base/math.hpp"
#include "kernels/base/numbers.hpp"

namespace posetape {

static inline std::complex<double> wide(Complex x) {
  return {x.value, x.step};
}
static inline Complex narrow(std::complex<double> z) {
  return {z.real(), z.imag()};
}

static inline Dual exp_(Dual x) {
  const double e = std::exp(x.value);
  return {e, e * x.slope};
}
static inline Complex exp_(Complex x) {
  return narrow(std::exp(wide(x)));
}

static inline Dual log_(Dual x) {
  return {std::log(x.value), x.slope / x.value};
}
static inline Complex log_(Complex x) {
  return narrow(std::log(wide(x)));
}

static inline Dual sqrt_(Dual x) {
  const double root = std::sqrt(x.value);
  return {root, x.slope / (2 * root)};
}
static inline Complex sqrt_(Complex x) {
  return narrow(std::sqrt(wide(x)));
}

// By the series about the real axis, which has a power of negative numbers, too.
template <class N>
requires carries_derivative<N>
static inline N pow_(N x, double p) {
  const auto [value, part] = x;
  const double slope = p == 0 ? 0 : p * std::pow(value, p - 1);
  return {std::pow(value, p), slope * part};
}

static inline Dual tanh_(Dual x) {
  const double c = std::cosh(x.value);  // 1 - tanh^2 has lost its digits in saturation
  return {std::tanh(x.value), x.slope / (c * c)};
}
static inline Complex tanh_(Complex x) {
  return narrow(std::tanh(wide(x)));
}

static inline Normal<Dual> normal_(Dual x) {
  const Normal<double> n = normal_(x.value);
  return {{n.cdf, n.density * x.slope}, {n.density, -x.value * n.density * x.slope}};
}
// By the series about the real axis, which ends after its first term for a step that small.
static inline Normal<Complex> normal_(Complex x) {
  const Normal<double> n = normal_(x.value);
  return {{n.cdf, n.density * x.step}, {n.density, -x.value * n.density * x.step}};
}

}  // namespace posetape
