// y = 1 / (1 + e^-x). dx = dy y (1 - y), 1 - y as the function of -x.
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct SigmoidForward : UnaryForward<T> {};
template <class T>
struct SigmoidBackward : UnaryBackward<T> {};

}  // namespace posetape
