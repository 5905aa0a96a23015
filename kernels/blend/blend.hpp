// out[b, ...] = p[b] x[b, ...] + q[b] y[b, ...]: the steps of a diffusion, where p and q are the
// schedule's coefficients at each sample's timestep. Gradients, with d = d(out):
//     dx = p d,  dy = q d,  dp[b] = sum of x d over sample b,  dq[b] = sum of y d over sample b
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct BlendForward {
  const T* p;  // [B]
  const T* x;  // [B, size]
  const T* q;  // [B]
  const T* y;  // [B, size]
  T* out;      // [B, size]
  Index batch;
  Index size;
};

template <class T>
struct BlendBackward {
  const T* p;
  const T* x;  // null where dp is not wanted
  const T* q;
  const T* y;  // null where dq is not wanted
  const T* dout;
  GradientOut<T> dp;
  GradientOut<T> dx;
  GradientOut<T> dq;
  GradientOut<T> dy;
  Index batch;
  Index size;
};

}  // namespace posetape
