// y = sqrt(x). dx = dy / 2y, which is infinite at 0.
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct SqrtForward : UnaryForward<T> {};
template <class T>
struct SqrtBackward : UnaryBackward<T> {};

}  // namespace posetape
