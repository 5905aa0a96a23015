// The mean cross-entropy of classes and the softmax of logits. With m_r = max of x_r, the row's
// logits, and s_r = sum over c of exp(x_rc - m_r):
//     loss = 1 / n sum over r of log s_r - (x_r[class_r] - m_r)
// which keeps its digits where the softmax is 0 or 1. With d = d(loss):
//     dx_rc = d / n (exp(x_rc - m_r) / s_r - [c is class_r])
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct CrossEntropyForward {
  const T* x;                   // [rows, width]
  const std::int32_t* classes;  // [rows], below width
  Accumulator<T>* row;          // [rows, 2]: m and s
  Accumulator<T>* loss;         // one element; NaN, the mean of nothing, for no rows
  Index rows;
  Index width;
};

template <class T>
struct CrossEntropyBackward {
  const T* x;
  const std::int32_t* classes;
  const Accumulator<T>* row;
  const Accumulator<T>* dloss;
  GradientOut<T> dx;
  Index rows;
  Index width;
};

}  // namespace posetape
