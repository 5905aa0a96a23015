// Layer normalisation over the last dimension (Ba, Kiros and Hinton, arXiv 1607.06450), with the
// additions of a transformer's residual stream in front of it:
//     s = x + residual + shift        (either may be absent)
//     y = gamma (s - mean) / sqrt(var + eps) + beta,   mean and var over a row, var biased
// With n = (s - mean) rstd and g = gamma dy, row by row:
//     dgamma += dy n,  dbeta += dy,  ds = rstd (g - mean(g) - n mean(g n)) + ds_out
//     dshift = sum of ds over the rows of its group
//
// In f32 and bf16, short stretches are summed in f32 and their sums added up in f64, and the mean
// is kept in f64, so that long rows and rows far from zero keep their digits. Deviations are
// squared in f32: a row with one beyond 1.8e19 has an infinite variance, so that y = beta and ds =
// ds_out, and one whose sum overflows gives NaN.
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct LayerNormForward {
  static constexpr bool kRounds = true;  // see kernels/base/dispatch.hpp
  const T* x;                            // [rows, width]
  const T* residual;                     // [rows, width] or null
  const T* shift;                        // [rows / rows_per_shift, width] or null
  const T* gamma;                        // [width]
  const T* beta;                         // [width]
  T* s;                           // [rows, width]; null where neither residual nor shift is given
  T* y;                           // [rows, width]
  LongSum<Accumulator<T>>* mean;  // [rows]
  Accumulator<T>* rstd;           // [rows], 1 / sqrt(var + eps)
  Index rows;
  Index width;
  Index rows_per_shift;
  double eps;
};

template <class T>
struct LayerNormBackward {
  static constexpr bool kRounds = true;  // see kernels/base/dispatch.hpp
  const T* s;
  const T* gamma;
  const LongSum<Accumulator<T>>* mean;
  const Accumulator<T>* rstd;
  const T* dy;      // [rows, width]
  const T* ds_out;  // [rows, width] or null: what flows into s from elsewhere
  GradientOut<T> ds;
  GradientOut<T> dgamma;
  GradientOut<T> dbeta;
  GradientOut<T> dshift;  // wanted only where ds is
  Index rows;
  Index width;
  Index groups;  // of rows that have a shift each; 1 without
};

}  // namespace posetape
