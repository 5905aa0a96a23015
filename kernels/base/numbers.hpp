// Two types of number that carry a derivative through a kernel's own code: the oracles of gradient
// checks that need no differences. A kernel is a template over its element type, so the code that
// is differentiated is the code that trains.
//
// Comparisons look at the value alone, so a kernel takes the same branches as in f64.
#pragma once

#include <compare>
#include <limits>
#include <type_traits>

#include "kernels/base/scalar.hpp"

namespace posetape {

// value + slope eps with eps^2 = 0: forward-mode differentiation by dual numbers (Clifford).
struct Dual {
  double value = 0;
  double slope = 0;

  constexpr Dual() = default;
  template <class N>
  requires std::is_arithmetic_v<N>
  constexpr Dual(N v) : value(static_cast<double>(v)) {}  // NOLINT: numbers mix as in f64
  constexpr Dual(double v, double s) : value(v), slope(s) {}

  friend Dual operator-(Dual a) { return {-a.value, -a.slope}; }
  friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
  friend Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
  friend Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  friend Dual operator/(Dual a, Dual b) {
    const double q = a.value / b.value;
    return {q, (a.slope - q * b.slope) / b.value};
  }
  friend bool operator==(Dual a, Dual b) { return a.value == b.value; }
  friend auto operator<=>(Dual a, Dual b) { return a.value <=> b.value; }
};

// A complex number whose imaginary part is a step h so small that f(x + ih) = f(x) + ih f'(x) to
// the last digit, without the subtraction that differences need (Squire and Trapp, "Using complex
// variables to estimate derivatives of real functions", SIAM Review 1998). For analytic f alone.
struct Complex {
  double value = 0;
  double step = 0;

  constexpr Complex() = default;
  template <class N>
  requires std::is_arithmetic_v<N>
  constexpr Complex(N v) : value(static_cast<double>(v)) {}  // NOLINT: numbers mix as in f64
  constexpr Complex(double v, double s) : value(v), step(s) {}

  friend Complex operator-(Complex a) { return {-a.value, -a.step}; }
  friend Complex operator+(Complex a, Complex b) { return {a.value + b.value, a.step + b.step}; }
  friend Complex operator-(Complex a, Complex b) { return {a.value - b.value, a.step - b.step}; }
  friend Complex operator*(Complex a, Complex b) {
    return {a.value * b.value - a.step * b.step, a.value * b.step + a.step * b.value};
  }
  friend Complex operator/(Complex a, Complex b) {
    const double norm = b.value * b.value + b.step * b.step;
    return {(a.value * b.value + a.step * b.step) / norm,
            (a.step * b.value - a.value * b.step) / norm};
  }
  friend bool operator==(Complex a, Complex b) { return a.value == b.value; }
  friend auto operator<=>(Complex a, Complex b) { return a.value <=> b.value; }
};

// True for the two types above.
template <class T>
inline constexpr bool carries_derivative = std::is_same_v<T, Dual> || std::is_same_v<T, Complex>;

template <class N>
requires carries_derivative<N> N& operator+=(N& a, N b) {
  return a = a + b;
}
template <class N>
requires carries_derivative<N> N& operator-=(N& a, N b) {
  return a = a - b;
}
template <class N>
requires carries_derivative<N> N& operator*=(N& a, N b) {
  return a = a * b;
}

template <>
struct LongSumOf<Dual> {
  using type = Dual;
};
template <>
struct LongSumOf<Complex> {
  using type = Complex;
};

#ifdef POSETAPE_OPENMP_SIMD  // for `#pragma omp simd reduction`, where the compiler was told of it
#pragma omp declare reduction(+ : Dual : omp_out += omp_in) initializer(omp_priv = Dual(0))
#pragma omp declare reduction(+ : Complex : omp_out += omp_in) initializer(omp_priv = Complex(0))
#pragma omp declare reduction(max:Dual : omp_out = omp_in > omp_out ? omp_in : omp_out)
#pragma omp declare reduction(max:Complex : omp_out = omp_in > omp_out ? omp_in : omp_out)
#endif
}  // namespace posetape

template <>
struct std::numeric_limits<posetape::Dual> : std::numeric_limits<double> {};
template <>
struct std::numeric_limits<posetape::Complex> : std::numeric_limits<double> {};
