// Elementwise functions of one tensor. An op of this kind defines its argument structs and a struct
// F with two static templates:
//     A value(A x)             y = f(x)
//     A slope(A x, A y)        f'(x), given x and y = f(x)
#pragma once

#include "kernels/cpu/kernel.hpp"

namespace posetape {

template <class F, class Args>
static void unary_forward(const Args& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      using T = std::remove_reference_t<decltype(a.y[i])>;
      a.y[i] = store<T>(F::value(load(a.x[i])));
    }
  });
}

template <class F, class Args>
static void unary_backward(const Args& a) {
  parallel_elements(a.size, [&](Index begin, Index end) {
    using T = std::remove_reference_t<decltype(a.dx.data[0])>;
    const auto slope = [&](Index i) {
      return load(a.dy[i]) * F::slope(load(a.x[i]), load(a.y[i]));
    };
    // Not put(): with its choice inside, the loop over a long slope is not vectorised.
    T* dx = a.dx.data;
    if (a.dx.into == Into::add) {
      for (Index i = begin; i < end; ++i) dx[i] = store<T>(load(dx[i]) + slope(i));
    } else {
      for (Index i = begin; i < end; ++i) dx[i] = store<T>(slope(i));
    }
  });
}

}  // namespace posetape
