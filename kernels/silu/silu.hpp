// y = x s with s = 1 / (1 + e^-x). dx = dy s (1 + x (1 - s)).
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct SiluForward : UnaryForward<T> {};
template <class T>
struct SiluBackward : UnaryBackward<T> {};

}  // namespace posetape
