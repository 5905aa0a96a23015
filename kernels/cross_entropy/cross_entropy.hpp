// The mean cross-entropy of classes and the softmax of logits. With m_r = max of x_r, the row's
// logits, and s_r = sum over c of exp(x_rc - m_r), over the n rows whose class is not the ignored
// one:
//     loss = 1 / n sum over r of log s_r - (x_r[class_r] - m_r)
// which keeps its digits where the softmax is 0 or 1. With d = d(loss):
//     dx_rc = d / n (exp(x_rc - m_r) / s_r - [c is class_r]), and 0 in rows that are ignored
#pragma once

#include <limits>

#include "kernels/base/scalar.hpp"

namespace posetape {

// The ignored class where none is: no i32 is equal to it.
inline constexpr Index kNoClass = std::numeric_limits<Index>::min();

template <class T>
struct CrossEntropyForward {
  const T* x;                   // [rows, width]
  const std::int32_t* classes;  // [rows], below width or ignored
  Accumulator<T>* row;          // [rows, 2]: m and s of those that count
  Accumulator<T>* counted;      // one element: n
  Accumulator<T>* loss;         // one element; NaN, the mean of nothing, where no row counts
  Index rows;
  Index width;
  Index ignored;  // or kNoClass
};

template <class T>
struct CrossEntropyBackward {
  const T* x;
  const std::int32_t* classes;
  const Accumulator<T>* row;
  const Accumulator<T>* counted;
  const Accumulator<T>* dloss;
  GradientOut<T> dx;
  Index rows;
  Index width;
  Index ignored;
};

}  // namespace posetape
