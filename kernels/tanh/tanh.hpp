// y = tanh x. dx = dy (1 - y^2).
#pragma once

#include "kernels/unary.hpp"

namespace posetape {

template <class T>
struct TanhForward : UnaryForward<T> {};
template <class T>
struct TanhBackward : UnaryBackward<T> {};

}  // namespace posetape
