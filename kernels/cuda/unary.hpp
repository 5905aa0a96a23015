// Elementwise functions of one tensor, by the same F as on the CPU (kernels/cpu/unary.hpp).
#pragma once

#include "kernels/cuda/elementwise.hpp"

namespace posetape {

template <class F, class T, template <class> class Args>
static void unary_forward(const Args<T>& a) {
  cuda::for_each(a.size,
                 [x = a.x, y = a.y] __device__(Index i) { y[i] = store<T>(F::value(load(x[i]))); });
}

template <class F, class T, template <class> class Args>
static void unary_backward(const Args<T>& a) {
  cuda::for_each(a.size, [x = a.x, y = a.y, dy = a.dy, dx = a.dx] __device__(Index i) {
    dx.put(i, load(dy[i]) * F::slope(load(x[i]), load(y[i])));
  });
}

}  // namespace posetape
