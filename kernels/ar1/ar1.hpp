// An autoregressive process of order one along the frames of each window, in place: with w as it
// lies in memory,
//     n_0 = w_0,  n_i = rho n_{i-1} + sqrt(1 - rho^2) w_i
// so that every frame is N(0, I) where the w are independent N(0, I).
#pragma once

#include "kernels/base/scalar.hpp"

namespace posetape {

template <class T>
struct Ar1 {
  T* x;  // [windows, frames, width]
  Index windows;
  Index frames;
  Index width;
  double keep;   // rho
  double fresh;  // sqrt(1 - rho^2)
};

}  // namespace posetape
